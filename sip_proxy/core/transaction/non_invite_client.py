"""The non-INVITE client transaction (RFC 3261 §17.1.2)."""

from typing import ClassVar

from sip_proxy.core.transaction.client import ClientEvent, ClientState, ClientTransaction
from sip_proxy.core.transaction.machine import Machine, Table


class NonInviteClientTransaction(ClientTransaction):
    """A request other than INVITE and ACK that we sent.

    Its final response ends it at once. The Completed state of figure 6, with timer K, is there to absorb
    copies of that response: here a response that belongs to no transaction is dropped anyway.
    """

    __slots__ = ()
    TABLE: ClassVar[Table]
    FIRST_STATE: ClassVar[int] = ClientState.TRYING

    def _resend(self, now: float) -> None:
        """Timer E doubles up to T2; once a provisional came it is T2 (§17.1.2.2)."""
        self._send_again(now)
        t2_s = self.layer.values.t2_s
        self.interval_s = t2_s if self.state == ClientState.PROCEEDING else min(2 * self.interval_s, t2_s)
        self._start_resend(self.interval_s, ClientEvent.RESEND, now)


_REPORT = ClientTransaction.report_response
_FINAL = (ClientState.TERMINATED, (_REPORT, Machine.end))
_TIMEOUT = (ClientState.TERMINATED, (Machine.end, ClientTransaction.report_timeout))
_ERROR = (ClientState.TERMINATED, (Machine.end, ClientTransaction.report_transport_error))

NonInviteClientTransaction.TABLE = {
    ClientState.TRYING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: _FINAL,
        ClientEvent.FAILURE: _FINAL,
        ClientEvent.RESEND: (ClientState.TRYING, (NonInviteClientTransaction._resend,)),
        ClientEvent.TIMEOUT: _TIMEOUT,
        ClientEvent.TRANSPORT_ERROR: _ERROR,
    },
    ClientState.PROCEEDING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: _FINAL,
        ClientEvent.FAILURE: _FINAL,
        ClientEvent.RESEND: (ClientState.PROCEEDING, (NonInviteClientTransaction._resend,)),
        ClientEvent.TIMEOUT: _TIMEOUT,
        ClientEvent.TRANSPORT_ERROR: _ERROR,
    },
    ClientState.TERMINATED: {},
}

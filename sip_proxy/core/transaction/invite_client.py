"""The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §8.4."""

from typing import ClassVar

from sip_proxy.core.message.building import build_ack
from sip_proxy.core.transaction.client import ClientEvent, ClientState, ClientTransaction
from sip_proxy.core.transaction.machine import Machine, Table


class InviteClientTransaction(ClientTransaction):
    """An INVITE that we sent. 2xx responses come to the owner every time they are repeated."""

    __slots__ = ()
    TABLE: ClassVar[Table]
    FIRST_STATE: ClassVar[int] = ClientState.CALLING

    def _resend(self, now: float) -> None:
        """Timer A doubles without a limit; timer B ends it (§17.1.1.2)."""
        self._send_again(now)
        self.interval_s *= 2
        self._start_resend(self.interval_s, ClientEvent.RESEND, now)

    def _send_ack(self, now: float) -> None:
        assert self.response is not None
        self.data = build_ack(self.data, self.response)
        self.send(now)

    def _start_d(self, now: float) -> None:
        reliable = self.to.transport.is_reliable
        delay_s = 0.0 if reliable else self.layer.values.transaction_timeout_s
        self._start_end(delay_s, ClientEvent.LINGERED, now)

    def _start_m(self, now: float) -> None:
        self._start_end(self.layer.values.transaction_timeout_s, ClientEvent.LINGERED, now)


_Invite = InviteClientTransaction
_STOP = Machine.stop_timers
_REPORT = ClientTransaction.report_response
_FORGET = ClientTransaction.forget_request
_END = Machine.end

InviteClientTransaction.TABLE = {
    ClientState.CALLING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_STOP, _REPORT)),
        ClientEvent.SUCCESS: (ClientState.ACCEPTED, (_STOP, _Invite._start_m, _REPORT, _FORGET)),
        ClientEvent.FAILURE: (
            ClientState.COMPLETED,
            (_STOP, _Invite._send_ack, _REPORT, _Invite._start_d),
        ),
        ClientEvent.RESEND: (ClientState.CALLING, (_Invite._resend,)),
        ClientEvent.TIMEOUT: (ClientState.TERMINATED, (_END, ClientTransaction.report_timeout)),
        ClientEvent.TRANSPORT_ERROR: (
            ClientState.TERMINATED,
            (_END, ClientTransaction.report_transport_error),
        ),
    },
    ClientState.PROCEEDING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: (ClientState.ACCEPTED, (_STOP, _Invite._start_m, _REPORT, _FORGET)),
        ClientEvent.FAILURE: (
            ClientState.COMPLETED,
            (_STOP, _Invite._send_ack, _REPORT, _Invite._start_d),
        ),
    },
    ClientState.COMPLETED: {
        ClientEvent.FAILURE: (ClientState.COMPLETED, (ClientTransaction.send,)),
        ClientEvent.LINGERED: (ClientState.TERMINATED, (_END,)),
        # The ACK could not be sent; the final response was reported already.
        ClientEvent.TRANSPORT_ERROR: (ClientState.TERMINATED, (_END,)),
    },
    ClientState.ACCEPTED: {
        ClientEvent.SUCCESS: (ClientState.ACCEPTED, (_REPORT,)),
        ClientEvent.LINGERED: (ClientState.TERMINATED, (_END,)),
    },
    ClientState.TERMINATED: {},
}

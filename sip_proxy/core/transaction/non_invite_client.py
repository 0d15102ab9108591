"""The non-INVITE client transaction (RFC 3261 §17.1.2).

Its final response ends it at once. The Completed state of figure 6, with timer K, is there to absorb copies
of that response: here a response that belongs to no transaction is dropped anyway.
"""

from typing import Final

from sip_proxy.core.transaction.client import ClientEvent, ClientState, ClientTransaction
from sip_proxy.core.transaction.machine import Machine, Table


def _resend(request: ClientTransaction, now: float) -> None:
    """Timer E doubles up to T2; once a provisional came it is T2 (§17.1.2.2)."""
    request.send_again(now)
    t2_s = request.layer.values.t2_s
    is_doubled = request.state != ClientState.PROCEEDING
    request.interval_s = min(2 * request.interval_s, t2_s) if is_doubled else t2_s
    request.start_resend(request.interval_s, ClientEvent.RESEND, now)


_REPORT: Final = ClientTransaction.report_response
_FINAL: Final = (ClientState.TERMINATED, (_REPORT, Machine.end))
_TIMEOUT: Final = (ClientState.TERMINATED, (Machine.end, ClientTransaction.report_timeout))
_ERROR: Final = (ClientState.TERMINATED, (Machine.end, ClientTransaction.report_transport_error))

NON_INVITE_CLIENT: Final[Table] = {
    ClientState.TRYING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: _FINAL,
        ClientEvent.FAILURE: _FINAL,
        ClientEvent.RESEND: (ClientState.TRYING, (_resend,)),
        ClientEvent.TIMEOUT: _TIMEOUT,
        ClientEvent.TRANSPORT_ERROR: _ERROR,
    },
    ClientState.PROCEEDING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: _FINAL,
        ClientEvent.FAILURE: _FINAL,
        ClientEvent.RESEND: (ClientState.PROCEEDING, (_resend,)),
        ClientEvent.TIMEOUT: _TIMEOUT,
        ClientEvent.TRANSPORT_ERROR: _ERROR,
    },
    ClientState.TERMINATED: {},
}

"""The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §8.4.

2xx responses come to the owner every time they are repeated.
"""

from typing import Final

from sip_proxy.core.message.building import build_ack
from sip_proxy.core.transaction.client import ClientEvent, ClientState, ClientTransaction
from sip_proxy.core.transaction.machine import Machine, Table

_LINGERED: Final = ClientEvent.LINGERED


def _resend(invite: ClientTransaction, now: float) -> None:
    """Timer A doubles without a limit; timer B ends it (§17.1.1.2)."""
    invite.send_again(now)
    invite.interval_s *= 2
    invite.start_resend(invite.interval_s, ClientEvent.RESEND, now)


def _send_ack(invite: ClientTransaction, now: float) -> None:
    assert invite.response is not None
    invite.data = build_ack(invite.data, invite.response)
    invite.send(now)


def _start_d(invite: ClientTransaction, now: float) -> None:
    reliable = invite.to.transport.is_reliable
    delay_s = 0.0 if reliable else invite.layer.values.transaction_timeout_s
    invite.start_end(delay_s, _LINGERED, now)


def _start_m(invite: ClientTransaction, now: float) -> None:
    invite.start_end(invite.layer.values.transaction_timeout_s, _LINGERED, now)


_STOP: Final = Machine.stop_timers
_REPORT: Final = ClientTransaction.report_response
_FORGET: Final = ClientTransaction.forget_request
_END: Final = Machine.end

INVITE_CLIENT: Final[Table] = {
    ClientState.CALLING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_STOP, _REPORT)),
        ClientEvent.SUCCESS: (ClientState.ACCEPTED, (_STOP, _start_m, _REPORT, _FORGET)),
        ClientEvent.FAILURE: (
            ClientState.COMPLETED,
            (_STOP, _send_ack, _REPORT, _start_d),
        ),
        ClientEvent.RESEND: (ClientState.CALLING, (_resend,)),
        ClientEvent.TIMEOUT: (ClientState.TERMINATED, (_END, ClientTransaction.report_timeout)),
        ClientEvent.TRANSPORT_ERROR: (
            ClientState.TERMINATED,
            (_END, ClientTransaction.report_transport_error),
        ),
    },
    ClientState.PROCEEDING: {
        ClientEvent.PROVISIONAL: (ClientState.PROCEEDING, (_REPORT,)),
        ClientEvent.SUCCESS: (ClientState.ACCEPTED, (_STOP, _start_m, _REPORT, _FORGET)),
        ClientEvent.FAILURE: (
            ClientState.COMPLETED,
            (_STOP, _send_ack, _REPORT, _start_d),
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

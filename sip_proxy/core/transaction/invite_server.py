"""The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1.

The ACK of a 2xx is not its business.
"""

from typing import Final

from sip_proxy.core.transaction.machine import Machine, Table
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction

_LINGERED: Final = ServerEvent.LINGERED


def _send_trying(invite: ServerTransaction, now: float) -> None:
    if invite.taker is not None:
        invite.respond(100, invite.taker.trying(), now)


def _send_again_or_trying(invite: ServerTransaction, now: float) -> None:
    """A caller that repeats its INVITE has waited long enough for a sign."""
    if invite.last_send is None:
        _send_trying(invite, now)
    else:
        invite.send_again(now)


def _tell_of_lost_connection(invite: ServerTransaction, now: float) -> None:
    """On UDP a provisional could not be sent; the final response may still find its way."""
    if invite.to.transport.is_reliable and invite.taker is not None:
        invite.taker.unreachable(now)


def _start_g_and_h(invite: ServerTransaction, now: float) -> None:
    if not invite.to.transport.is_reliable:
        invite.start_resend(invite.interval_s, ServerEvent.RESEND, now)
    invite.start_end(invite.layer.values.transaction_timeout_s, ServerEvent.TIMEOUT, now)


def _resend(invite: ServerTransaction, now: float) -> None:
    """Timer G doubles up to T2."""
    invite.send_again(now)
    invite.interval_s = min(2 * invite.interval_s, invite.layer.values.t2_s)
    invite.start_resend(invite.interval_s, ServerEvent.RESEND, now)


def _start_i(invite: ServerTransaction, now: float) -> None:
    reliable = invite.to.transport.is_reliable
    invite.start_end(0.0 if reliable else invite.layer.values.t4_s, _LINGERED, now)


def _start_l(invite: ServerTransaction, now: float) -> None:
    invite.last_send = None  # from here on it is the phone that repeats its answer, not we
    invite.start_end(invite.layer.values.transaction_timeout_s, _LINGERED, now)


_SEND: Final = ServerTransaction.send
_STOP: Final = Machine.stop_timers
_END: Final = (ServerState.TERMINATED, (Machine.end,))

INVITE_SERVER: Final[Table] = {
    ServerState.PROCEEDING: {
        ServerEvent.UNANSWERED: (ServerState.PROCEEDING, (_send_trying,)),
        ServerEvent.REQUEST_AGAIN: (ServerState.PROCEEDING, (_send_again_or_trying,)),
        ServerEvent.PROVISIONAL: (ServerState.PROCEEDING, (_STOP, _SEND)),
        ServerEvent.SUCCESS: (ServerState.ACCEPTED, (_STOP, _SEND, _start_l)),
        ServerEvent.FAILURE: (ServerState.COMPLETED, (_STOP, _SEND, _start_g_and_h)),
        ServerEvent.TRANSPORT_ERROR: (ServerState.PROCEEDING, (_tell_of_lost_connection,)),
    },
    ServerState.COMPLETED: {
        ServerEvent.REQUEST_AGAIN: (ServerState.COMPLETED, (ServerTransaction.send_again,)),
        ServerEvent.ACK: (ServerState.CONFIRMED, (_STOP, _start_i)),
        ServerEvent.RESEND: (ServerState.COMPLETED, (_resend,)),
        ServerEvent.TIMEOUT: _END,
        ServerEvent.TRANSPORT_ERROR: _END,
    },
    ServerState.CONFIRMED: {
        ServerEvent.LINGERED: _END,
    },
    ServerState.ACCEPTED: {
        # Retransmitted INVITEs are absorbed; further 2xx come from downstream and pass (RFC 6026 §7.1).
        ServerEvent.SUCCESS: (ServerState.ACCEPTED, (_SEND,)),
        ServerEvent.LINGERED: _END,
    },
    ServerState.TERMINATED: {},
}

"""The non-INVITE server transaction (RFC 3261 §17.2.2)."""

from typing import Final

from sip_proxy.core.transaction.machine import Machine, Table
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction

_LINGERED: Final = ServerEvent.LINGERED


def _start_j(request: ServerTransaction, now: float) -> None:
    reliable = request.to.transport.is_reliable
    delay_s = 0.0 if reliable else request.layer.values.transaction_timeout_s
    request.start_end(delay_s, _LINGERED, now)


_FINAL: Final = (ServerState.COMPLETED, (ServerTransaction.send, _start_j))
_PROVISIONAL: Final = (ServerState.PROCEEDING, (ServerTransaction.send,))
_END: Final = (ServerState.TERMINATED, (Machine.end,))

NON_INVITE_SERVER: Final[Table] = {
    # In Trying a retransmission finds nothing to repeat and is absorbed.
    ServerState.TRYING: {
        ServerEvent.PROVISIONAL: _PROVISIONAL,
        ServerEvent.SUCCESS: _FINAL,
        ServerEvent.FAILURE: _FINAL,
    },
    ServerState.PROCEEDING: {
        ServerEvent.REQUEST_AGAIN: (ServerState.PROCEEDING, (ServerTransaction.send_again,)),
        ServerEvent.PROVISIONAL: _PROVISIONAL,
        ServerEvent.SUCCESS: _FINAL,
        ServerEvent.FAILURE: _FINAL,
        ServerEvent.TRANSPORT_ERROR: _END,
    },
    ServerState.COMPLETED: {
        ServerEvent.REQUEST_AGAIN: (ServerState.COMPLETED, (ServerTransaction.send_again,)),
        ServerEvent.LINGERED: _END,
        ServerEvent.TRANSPORT_ERROR: _END,
    },
    ServerState.TERMINATED: {},
}

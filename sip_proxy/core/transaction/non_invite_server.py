"""The non-INVITE server transaction (RFC 3261 §17.2.2)."""

from typing import ClassVar

from sip_proxy.core.transaction.machine import Machine, Table
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction


class NonInviteServerTransaction(ServerTransaction):
    """A request other than INVITE and ACK that we received."""

    __slots__ = ()
    TABLE: ClassVar[Table]
    FIRST_STATE: ClassVar[int] = ServerState.TRYING

    def _start_j(self, now: float) -> None:
        reliable = self.to.transport.is_reliable
        delay_s = 0.0 if reliable else self.layer.values.transaction_timeout_s
        self._start_end(delay_s, ServerEvent.LINGERED, now)


_FINAL = (ServerState.COMPLETED, (ServerTransaction.send, NonInviteServerTransaction._start_j))
_PROVISIONAL = (ServerState.PROCEEDING, (ServerTransaction.send,))
_END = (ServerState.TERMINATED, (Machine.end,))

NonInviteServerTransaction.TABLE = {
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

"""The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1."""

from typing import ClassVar

from sip_proxy.core.transaction.machine import Machine, Table
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction


class InviteServerTransaction(ServerTransaction):
    """An INVITE that we received. The ACK of a 2xx is not its business."""

    __slots__ = ()
    TABLE: ClassVar[Table]
    FIRST_STATE: ClassVar[int] = ServerState.PROCEEDING

    def expect_answer(self, now: float) -> None:
        """Somebody works on the request: send 100 if nothing else goes back within 200 ms (§17.2.1).

        Most phones ring sooner, which says more and stops the caller's retransmissions as well.
        """
        self._start_resend(self.layer.values.trying_s, ServerEvent.UNANSWERED, now)

    def _send_trying(self, now: float) -> None:
        if self.taker is not None:
            self.respond(100, self.taker.trying(), now)

    def _send_again_or_trying(self, now: float) -> None:
        """A caller that repeats its INVITE has waited long enough for a sign."""
        if self.last_send is None:
            self._send_trying(now)
        else:
            self.send_again(now)

    def _tell_of_lost_connection(self, now: float) -> None:
        """On UDP a provisional could not be sent; the final response may still find its way."""
        if self.to.transport.is_reliable and self.taker is not None:
            self.taker.unreachable(now)

    def _start_g_and_h(self, now: float) -> None:
        if not self.to.transport.is_reliable:
            self._start_resend(self.interval_s, ServerEvent.RESEND, now)
        self._start_end(self.layer.values.transaction_timeout_s, ServerEvent.TIMEOUT, now)

    def _resend(self, now: float) -> None:
        """Timer G doubles up to T2."""
        self.send_again(now)
        self.interval_s = min(2 * self.interval_s, self.layer.values.t2_s)
        self._start_resend(self.interval_s, ServerEvent.RESEND, now)

    def _start_i(self, now: float) -> None:
        reliable = self.to.transport.is_reliable
        self._start_end(0.0 if reliable else self.layer.values.t4_s, ServerEvent.LINGERED, now)

    def _start_l(self, now: float) -> None:
        self.last_send = None  # from here on it is the phone that repeats its answer, not we
        self._start_end(self.layer.values.transaction_timeout_s, ServerEvent.LINGERED, now)


_Invite = InviteServerTransaction
_STOP = Machine.stop_timers
_END = (ServerState.TERMINATED, (Machine.end,))

InviteServerTransaction.TABLE = {
    ServerState.PROCEEDING: {
        ServerEvent.UNANSWERED: (ServerState.PROCEEDING, (_Invite._send_trying,)),
        ServerEvent.REQUEST_AGAIN: (ServerState.PROCEEDING, (_Invite._send_again_or_trying,)),
        ServerEvent.PROVISIONAL: (ServerState.PROCEEDING, (_STOP, _Invite.send)),
        ServerEvent.SUCCESS: (ServerState.ACCEPTED, (_STOP, _Invite.send, _Invite._start_l)),
        ServerEvent.FAILURE: (ServerState.COMPLETED, (_STOP, _Invite.send, _Invite._start_g_and_h)),
        ServerEvent.TRANSPORT_ERROR: (ServerState.PROCEEDING, (_Invite._tell_of_lost_connection,)),
    },
    ServerState.COMPLETED: {
        ServerEvent.REQUEST_AGAIN: (ServerState.COMPLETED, (_Invite.send_again,)),
        ServerEvent.ACK: (ServerState.CONFIRMED, (_STOP, _Invite._start_i)),
        ServerEvent.RESEND: (ServerState.COMPLETED, (_Invite._resend,)),
        ServerEvent.TIMEOUT: _END,
        ServerEvent.TRANSPORT_ERROR: _END,
    },
    ServerState.CONFIRMED: {
        ServerEvent.LINGERED: _END,
    },
    ServerState.ACCEPTED: {
        # Retransmitted INVITEs are absorbed; further 2xx come from downstream and pass (RFC 6026 §7.1).
        ServerEvent.SUCCESS: (ServerState.ACCEPTED, (_Invite.send,)),
        ServerEvent.LINGERED: _END,
    },
    ServerState.TERMINATED: {},
}

"""Server transactions: what the INVITE and the non-INVITE machine share."""

from enum import IntEnum
from typing import Final, Protocol

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.outputs import Send
from sip_proxy.core.transaction.machine import Machine, Surroundings, Table


class ServerState(IntEnum):
    """States of RFC 3261 figures 7 and 8 and RFC 6026 §7.1."""

    TRYING = 0
    PROCEEDING = 1
    COMPLETED = 2
    CONFIRMED = 3
    ACCEPTED = 4
    TERMINATED = 5


class ServerEvent(IntEnum):
    """What happens to a server transaction."""

    REQUEST_AGAIN = 0
    ACK = 1
    PROVISIONAL = 2
    SUCCESS = 3
    FAILURE = 4
    RESEND = 5  # timer G
    TIMEOUT = 6  # timer H
    LINGERED = 7  # timer I, J or L
    TRANSPORT_ERROR = 8
    UNANSWERED = 9  # nothing has gone back for 200 ms


_FAILURE: Final = ServerEvent.FAILURE
# By the class of a response, as in `client.py`.
_EVENT_OF: Final[tuple[ServerEvent, ...]] = (
    _FAILURE, ServerEvent.PROVISIONAL, ServerEvent.SUCCESS, _FAILURE, _FAILURE, _FAILURE, _FAILURE,
)  # fmt: skip
_UNANSWERED: Final = ServerEvent.UNANSWERED


class RequestTaker(Protocol):
    """Who works on a request, as far as its server transaction is concerned."""

    def cancel(self, now: float, reason: str = "") -> None:
        """The caller gave up (RFC 3261 §16.10), and said why (the value of a `Reason` header)."""

    def trying(self) -> bytes:
        """Build the 100 for an INVITE that nothing else has gone back for yet."""

    def unreachable(self, now: float) -> None:
        """The connection of who sent the request is gone: nothing will be heard there any more."""

    def server_ended(self) -> None:
        """The transaction is over and can be forgotten."""


class ServerTransaction(Machine):
    """A request that we received. `to` is where its responses go.

    The request itself is not kept: a transaction lives on for half a minute after its final response, and
    needs nothing more than that response then.
    """

    __slots__ = ("last_send", "pending", "taker")

    def __init__(self, key: str, layer: Surroundings, to: Flow, table: Table, state: ServerState) -> None:
        self.key = key
        self.layer = layer
        self.to = to
        self.table = table
        self.state = state
        self.interval_s = layer.values.t1_s
        self.resend_timer = self.end_timer = None
        self.taker: RequestTaker | None = None
        self.last_send: Send | None = None
        self.pending: Send | None = None

    def respond(
        self, status: int, data: bytes, now: float, *, after_journal: bool = False, or_failure: bool = False
    ) -> None:
        """Give a response to send; the state decides whether it may still go out."""
        self.pending = Send(self.to, data, after_journal, or_failure)
        self.fire(_EVENT_OF[status // 100], now)
        self.pending = None

    def expect_answer(self, now: float) -> None:
        """Somebody works on an INVITE: send 100 if nothing else goes back within 200 ms (§17.2.1).

        Most phones ring sooner, which says more and stops the caller's retransmissions as well. Of other
        requests nobody need hear before the final response.
        """
        self.start_resend(self.layer.values.trying_s, _UNANSWERED, now)

    def is_answered(self) -> bool:
        """Tell whether a final response was given."""
        return self.state > ServerState.PROCEEDING

    def has_sent(self, data: bytes, to: Flow | Destination) -> bool:
        """Tell whether this was its last response."""
        return self.last_send is not None and self.last_send.data == data and self.to == to

    def send(self, now: float) -> None:
        """Send the response just given, and keep it for retransmissions of the request."""
        assert self.pending is not None
        self.last_send = self.pending
        self.layer.outputs.append(self.pending)

    def send_again(self, now: float) -> None:
        """Send the last response once more, if there is one."""
        if self.last_send is not None:
            self.layer.outputs.append(self.last_send)

    def let_go(self) -> None:
        """Tell whoever works on the request, and forget them."""
        taker, self.taker = self.taker, None
        if taker is not None:
            taker.server_ended()

    def abandon(self, now: float) -> None:
        """End without a final response (RFC 4320 §4.2: a late 408 to a non-INVITE helps nobody)."""
        self.state = ServerState.TERMINATED
        self.end(now)

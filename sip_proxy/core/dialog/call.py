"""A call: from the INVITE that passed authentication to the one record that comes out of it."""

from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol

from sip_proxy.core.dialog.call_record import CallRecord, EndedBy, Outcome
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.message.grammar import printable
from sip_proxy.core.outputs import LiveCall, LiveCallState
from sip_proxy.core.transaction.timers import Timer


class CallEvent(IntEnum):
    """What moves a call on."""

    RANG = 0  # a provisional response that rings
    ANSWERED = 1  # the first 2xx
    FAILED = 2  # a final response other than 2xx went to the caller
    HUNG_UP = 3  # a BYE of either side, or of the exchange


# The whole life of a call. An event without an entry changes nothing: that is what makes the record unique.
NEXT_STATE: Final[dict[LiveCallState, dict[CallEvent, LiveCallState]]] = {
    LiveCallState.INVITING: {
        CallEvent.RANG: LiveCallState.RINGING,
        CallEvent.ANSWERED: LiveCallState.ANSWERED,
        CallEvent.FAILED: LiveCallState.ENDED,
    },
    LiveCallState.RINGING: {
        CallEvent.ANSWERED: LiveCallState.ANSWERED,
        CallEvent.FAILED: LiveCallState.ENDED,
    },
    LiveCallState.ANSWERED: {
        CallEvent.HUNG_UP: LiveCallState.ENDED,
    },
    LiveCallState.ENDED: {},
}


_INVITING: Final = LiveCallState.INVITING
_BEFORE_ANSWER: Final = frozenset({LiveCallState.INVITING, LiveCallState.RINGING})


class CallTimer(IntEnum):
    """The timers of a call."""

    NO_ACK = 0  # 64*T1 after the answer (RFC 3261 §13.3.1.4)
    FORGET = 1  # the dialog is over; late requests get 481
    LIFE_CHECK = 2  # is there still a phone at each end?
    SESSION_OVER = 3  # nobody refreshed the session, and both were asked for the last time
    CALLER_GONE = 4  # the caller is no longer there, and the called side was asked for the last time


class CallKeeper(Protocol):
    """Who looks after the timers of calls."""

    def call_timer_fired(self, call: "Call", event: CallTimer, now: float) -> None:
        """A timer of the call fired."""


class CallSetupControl(Protocol):
    """How a call that isn't answered yet can be given up by the exchange."""

    def give_up(self, text: str, now: float) -> None:
        """Cancel all branches and tell the caller why."""


class Call:
    """One call attempt.

    Instants are on the wall clock but for `answered_on_clock`, which is on the monotonic clock and gives the
    duration. `early` has the legs that rang, by their tag, until one of them answers and becomes `called`;
    few are asked for before that, so each is made when it is. `session_interval_s` is the session interval
    that the phones agreed on (RFC 4028), 0 for none, and `refreshed_on_clock` when they last did.
    `restored_on_clock` is when it was taken up after a restart.
    """

    __slots__ = (
        "acknowledged_at",
        "answered_at",
        "answered_on_clock",
        "call_id",
        "called",
        "callee",
        "caller",
        "calling",
        "early",
        "emergency",
        "invited_at",
        "keeper",
        "record_id",
        "refreshed_on_clock",
        "restored_on_clock",
        "ringing_at",
        "saved_on_clock",
        "session_interval_s",
        "setup",
        "state",
        "timer",
    )

    def __init__(
        self,
        record_id: str,
        call_id: str,
        calling: Party,
        callee: str,
        emergency: bool,
        invited_at: float,
        keeper: CallKeeper,
    ) -> None:
        self.record_id = record_id
        self.call_id = call_id
        self.caller = calling.number
        self.callee = callee
        self.emergency = emergency
        self.calling = calling
        self.called: Party | None = None
        self.early: dict[str, Party | Callable[[], Party]] | None = None
        self.state = _INVITING
        self.invited_at = invited_at
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.acknowledged_at: float | None = None
        self.answered_on_clock = 0.0
        self.refreshed_on_clock = 0.0
        self.saved_on_clock = 0.0
        self.restored_on_clock = 0.0
        self.session_interval_s = 0
        self.keeper = keeper
        self.setup: CallSetupControl | None = None
        self.timer: Timer | None = None

    def take(self, event: CallEvent) -> bool:
        """Move on; False when the event means nothing in this state."""
        following = NEXT_STATE[self.state].get(event)
        if following is None:
            return False
        self.state = following
        return True

    def leg(self, tag: str) -> Party | None:
        """Return the called side with this tag: the one that answered, or before that any that rang."""
        if self.called is not None:
            return self.called if self.called.tag == tag else None
        leg = None if self.early is None else self.early.get(tag)
        if leg is None or isinstance(leg, Party):
            return leg
        assert self.early is not None
        self.early[tag] = made = leg()
        return made

    def agree_on_session(self, interval_s: int, now: float) -> None:
        """The phones agreed on a session interval, or on none (0)."""
        self.session_interval_s = interval_s
        self.refreshed_on_clock = now

    def is_being_set_up(self) -> bool:
        """Tell whether it is neither answered nor over."""
        return self.state in _BEFORE_ANSWER

    def waits_for_ack(self) -> bool:
        """Tell whether it is answered, and the caller hasn't acknowledged that."""
        return self.state is LiveCallState.ANSWERED and self.acknowledged_at is None

    def session_is_over(self, now: float) -> bool:
        """Tell whether the session timer has run out without a refresh (RFC 4028 §10)."""
        return self.session_interval_s > 0 and now - self.refreshed_on_clock >= self.session_interval_s

    def last_proof_of_life(self) -> float:
        """When, on the monotonic clock, the call last proved to be going on: by a sign of the called side.

        The caller pays, so its own silence must not make the call cheaper. Only if it has been silent since a
        restart it may have hung up while there was nobody to hear it, and its last sign counts as well.
        """
        assert self.called is not None
        proof = self.called.seen_at
        if self.calling.seen_at < self.restored_on_clock:
            proof = min(proof, self.calling.seen_at)
        return max(self.answered_on_clock, proof)

    def live(self) -> LiveCall:
        """Return the call as an administrator sees it."""
        return LiveCall(
            id=self.record_id,
            call_id=printable(self.call_id),
            caller=self.caller,
            callee=self.callee,
            state=self.state,
            emergency=self.emergency,
            invited_at=self.invited_at,
            ringing_at=self.ringing_at,
            answered_at=self.answered_at,
        )

    def record(
        self, *, now: float, wall: float, outcome: Outcome, status: int, reason: str, ended_by: EndedBy
    ) -> CallRecord:
        """Make the record of the call that ends now; `wall` is the same instant on the wall clock."""
        answered = self.answered_at is not None
        duration_s = max(0.0, now - self.answered_on_clock) if answered else 0.0
        # The wall clock may have been set back meanwhile; a record must not end before it begins.
        began_at = self.acknowledged_at or self.answered_at or self.ringing_at or self.invited_at
        # In the order of its fields: by their names it would take three times as long.
        return CallRecord(
            self.record_id,
            printable(self.call_id),
            self.caller,
            self.callee,
            self.emergency,
            self.invited_at,
            self.ringing_at,
            self.answered_at,
            self.acknowledged_at,
            max(wall, began_at),
            round(duration_s * 1_000_000),
            outcome,
            status,
            reason,
            ended_by,
        )

    def on_timer(self, event: int, now: float) -> None:
        """A timer of the call fired."""
        self.keeper.call_timer_fired(self, CallTimer(event), now)

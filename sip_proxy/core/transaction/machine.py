"""What the four transaction machines share: a table, and the walk through it."""

from collections.abc import Callable
from typing import Any

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.outputs import Output
from sip_proxy.core.transaction.timers import Timer, TimerQueues, TimerValues

Action = Callable[[Any, float], None]
Step = tuple[int, tuple[Action, ...]]
Table = dict[int, dict[int, Step]]
"""state → event → (next state, actions). An event without an entry is ignored in that state."""


class Surroundings:
    """What a transaction needs from the layer that it lives in."""

    __slots__ = ("outputs", "timers", "values")

    timers: TimerQueues
    values: TimerValues
    outputs: list[Output]

    def forget(self, transaction: "Machine") -> None:
        """The transaction is over: match nothing to it any more."""


class Machine:
    """A transaction: a state, a table, at most one retransmission timer and one timer for its end.

    INVITE and other requests differ in nothing but the table: its actions know what each of them does.
    """

    __slots__ = ("end_timer", "interval_s", "key", "layer", "resend_timer", "state", "table", "to")

    key: str
    layer: Surroundings
    to: Flow | Destination
    table: Table
    state: int
    interval_s: float
    resend_timer: Timer | None
    end_timer: Timer | None

    def fire(self, event: int, now: float) -> None:
        """Take an event: go to the next state and do what the table says, in order."""
        step = self.table[self.state].get(event)
        if step is not None:
            self.state, actions = step
            for action in actions:
                action(self, now)

    def on_timer(self, event: int, now: float) -> None:
        """A timer of this transaction fired."""
        self.fire(event, now)

    def stop_timers(self, now: float) -> None:
        """Cancel whatever runs."""
        if self.resend_timer is not None:
            self.resend_timer.cancel()
            self.resend_timer = None
        if self.end_timer is not None:
            self.end_timer.cancel()
            self.end_timer = None

    def end(self, now: float) -> None:
        """Leave the layer; nothing is matched to this transaction from now on."""
        self.stop_timers(now)
        self.layer.forget(self)
        self.let_go()

    def let_go(self) -> None:
        """Tell the owner that this transaction is over, so that no reference cycle outlives it."""

    def start_resend(self, delay_s: float, event: int, now: float) -> None:
        """Start the timer of the next retransmission."""
        self.resend_timer = self.layer.timers.start(delay_s, self, event, now)

    def start_end(self, delay_s: float, event: int, now: float) -> None:
        """Start the timer of the last state; no time at all means the end (reliable transports)."""
        if delay_s <= 0:
            self.fire(event, now)
        else:
            self.end_timer = self.layer.timers.start(delay_s, self, event, now)

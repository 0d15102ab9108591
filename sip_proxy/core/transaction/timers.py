"""Timers without a heap: SIP uses few distinct durations, so a queue per duration is always in order.

Starting a timer is an append, cancelling it forgets its owner; what is cancelled is dropped when it comes up.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import Final, Protocol

_NEVER: Final = inf
# Each duration costs something at every look, so those that nobody uses any longer are let go of.
_MOST_UNUSED: Final = 32


@dataclass(frozen=True, slots=True)
class TimerValues:
    """The base values, in seconds (RFC 3261 table 4)."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0
    timer_c_s: float = 181.0
    trying_s: float = 0.2  # §17.2.1: how long a caller may wait for any response to its INVITE

    # 64*T1: timers B, F, H, J, L and M; D is the same here (RFC 3261 asks for at least 32 s on UDP).
    transaction_timeout_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "transaction_timeout_s", 64 * self.t1_s)


class TimerOwner(Protocol):
    """Who is told when a timer fires."""

    def on_timer(self, event: int, now: float) -> None:
        """The timer that was started with `event` is due."""


class Timer:
    """One running timer. It fires once; `cancel` is harmless at any time.

    It has no constructor, as that would cost as much as all the rest of starting one.
    """

    __slots__ = ("at", "event", "owner")

    at: float
    event: int
    owner: TimerOwner | None

    def cancel(self) -> None:
        """Make the timer never fire, and let go of its owner."""
        self.owner = None


class TimerQueues:
    """All running timers."""

    __slots__ = ("_earliest", "_queues")

    def __init__(self) -> None:
        self._queues: dict[float, deque[Timer]] = {}
        # No timer fires before this instant; None: not known.
        self._earliest: float | None = _NEVER

    @property
    def durations(self) -> int:
        """How many durations there are queues for."""
        return len(self._queues)

    def start(self, delay_s: float, owner: TimerOwner, event: int, now: float) -> Timer:
        """Start a timer. Instants must not go backwards from call to call."""
        timer = Timer()
        timer.at = now + delay_s
        timer.event = event
        timer.owner = owner
        queue = self._queues.get(delay_s)
        if queue is None:
            queue = self._queues[delay_s] = deque()
        queue.append(timer)
        if self._earliest is not None and timer.at < self._earliest:
            self._earliest = timer.at
        return timer

    def next_deadline(self) -> float | None:
        """Return an instant before which no timer fires, None when there is no timer.

        It is that of the next timer, or of one that was cancelled since `expire` ran last: looking through
        all queues again costs more than to find nothing to do then.
        """
        if self._earliest is None:
            self._earliest = self._look_for_earliest()
        return self._earliest if self._earliest < _NEVER else None

    def _look_for_earliest(self) -> float:
        earliest = _NEVER
        unused = 0
        for queue in self._queues.values():
            while queue and queue[0].owner is None:
                queue.popleft()
            if not queue:
                unused += 1
            elif queue[0].at < earliest:
                earliest = queue[0].at
        if unused > _MOST_UNUSED:
            self._queues = {delay_s: queue for delay_s, queue in self._queues.items() if queue}
        return earliest

    def expire(self, now: float) -> None:
        """Fire every timer that is due, in the order of their instants."""
        self._earliest = None
        while True:
            due = None
            for queue in self._queues.values():
                while queue and queue[0].owner is None:
                    queue.popleft()
                if queue and queue[0].at <= now and (due is None or queue[0].at < due[0].at):
                    due = queue
            if due is None:
                return
            timer = due.popleft()
            owner, timer.owner = timer.owner, None
            if owner is not None:
                owner.on_timer(timer.event, now)

"""A limit on log-in attempts, before billing is asked (billing has its own limits)."""

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta


class LoginLimit:
    """At most `attempts` failed log-ins per key (an address; a login at an address) within `window`.

    Every attempt counts from its start, so that many at the same time don't slip through; success takes it
    back.
    """

    MAX_KEYS = 10_000

    def __init__(self, *, attempts: int, window: timedelta, clock: Callable[[], datetime]) -> None:
        self._attempts = attempts
        self._window = window
        self._clock = clock
        self._started_at: OrderedDict[str, deque[datetime]] = OrderedDict()

    def begin(self, key: str) -> timedelta | None:
        """Count an attempt. None: go ahead. Otherwise it is refused, and this is how long to wait."""
        now = self._clock()
        attempts = self._started_at.setdefault(key, deque())
        self._started_at.move_to_end(key)
        if len(self._started_at) > self.MAX_KEYS:
            self._started_at.popitem(last=False)
        while attempts and now - attempts[0] >= self._window:
            attempts.popleft()
        if len(attempts) >= self._attempts:
            return attempts[0] + self._window - now
        attempts.append(now)
        return None

    def succeed(self, key: str) -> None:
        """The attempt was good: forget this key's attempts."""
        self._started_at.pop(key, None)

    def withdraw(self, key: str) -> None:
        """The attempt came to no answer (billing is away): it must not count against anybody."""
        attempts = self._started_at.get(key)
        if attempts:
            attempts.pop()

"""How long to wait before trying again."""

from collections.abc import Callable

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0


class Backoff:
    """Doubling delays with jitter, so that exchanges don't all come back to billing at one instant."""

    def __init__(
        self,
        *,
        random: Callable[[], float],
        first_s: float = FIRST_DELAY_S,
        longest_s: float = LONGEST_DELAY_S,
    ) -> None:
        """`random` gives numbers in [0, 1)."""
        self._random = random
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_delay_s(self) -> float:
        """Return the delay before the next try: half to all of a span that doubles up to the longest."""
        delay_s = self._next_s
        self._next_s = min(2 * self._next_s, self._longest_s)
        return delay_s * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """It worked: begin with the shortest delay next time."""
        self._next_s = self._first_s

"""How long things take, counted in buckets: cheap enough for every message."""

from bisect import bisect_left
from typing import Final

DURATIONS_S: Final[tuple[float, ...]] = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0),
)
"""Upper bounds of the buckets, from what a message takes to what a person waits."""


class Histogram:
    """Durations in seconds by size."""

    __slots__ = ("_bounds", "_counts", "total_s")

    def __init__(self, bounds: tuple[float, ...] = DURATIONS_S) -> None:
        """`bounds` are the upper bounds of the buckets, ascending; beyond the last there is one more."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, duration_s)] += 1
        self.total_s += duration_s

    def cumulated(self) -> list[tuple[str, float]]:
        """Return for each upper bound how many were not above it, as Prometheus wants it."""
        below, buckets = 0, []
        names = [repr(bound) for bound in self._bounds] + ["+Inf"]
        for name, count in zip(names, self._counts, strict=True):
            below += count
            buckets.append((name, float(below)))
        return buckets

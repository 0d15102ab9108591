"""How many messages one source may send: counted before anything is parsed, so that a flood costs little.

A source is an IPv4 address or an IPv6 subnet (`source_of`). The bucket of a stranger is generous enough for a
house full of phones that all start at once; where an account has proved itself, there is room for a trunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sip_proxy.core.authentication.sources import source_of

MOST_SOURCES: Final = 100_000
_REPORT_S: Final = 10.0
_ASK_AGAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: so many messages at once, and so many a second after that."""

    per_second: float
    burst: int


STRANGER: Final = Rate(per_second=100, burst=1000)
TRUSTED: Final = Rate(per_second=20_000, burst=20_000)


class SourceLimiter:
    """Token buckets by source.

    Kept as the instant at which a bucket will be full again (the generic cell rate algorithm): one number for
    a source, and nothing to refill.
    """

    __slots__ = (
        "_full_at",
        "_is_trusted",
        "_most_sources",
        "_reported_at",
        "_room",
        "_step",
        "_trusted_full_at",
        "_trusted_room",
        "_trusted_step",
        "_trusted_until",
        "dropped_count",
    )

    def __init__(
        self,
        *,
        is_trusted: Callable[[str, float], bool],
        stranger: Rate = STRANGER,
        trusted: Rate = TRUSTED,
        most_sources: int = MOST_SOURCES,
    ) -> None:
        """`is_trusted` is asked about an IP address whose source has used up a stranger's bucket.

        `most_sources`: of so many something is known at once.
        """
        self._is_trusted = is_trusted
        self._most_sources = most_sources
        self._step = 1 / stranger.per_second
        # Half a message more, so that rounding costs nobody one.
        self._room = (stranger.burst + 0.5) * self._step
        self._trusted_step = 1 / trusted.per_second
        self._trusted_room = (trusted.burst + 0.5) * self._trusted_step
        self._full_at: dict[str, float] = {}
        self._trusted_full_at: dict[str, float] = {}
        self._trusted_until: dict[str, float] = {}
        self._reported_at: dict[str, float] = {}
        self.dropped_count = 0

    def admits(self, host: str, now: float) -> bool:
        """Count a message from this address; tell whether there is room for it."""
        source = source_of(host) if ":" in host else host
        full_at = self._full_at.get(source, 0.0)
        if full_at < now:
            if not full_at and len(self._full_at) >= self._most_sources:
                self._make_room(now)
            full_at = now
        full_at += self._step
        if full_at - now <= self._room:
            self._full_at[source] = full_at
            return True
        if now < self._trusted_until.get(source, 0.0) or self._knows(source, host, now):
            full_at = max(now, self._trusted_full_at.get(source, 0.0)) + self._trusted_step
            if full_at - now <= self._trusted_room:
                self._trusted_full_at[source] = full_at
                return True
        self.dropped_count += 1
        return False

    def _knows(self, source: str, host: str, now: float) -> bool:
        """Ask whether an address is trusted; believe a good answer for a while: asking costs more."""
        if not self._is_trusted(host, now):
            return False
        if len(self._trusted_until) >= self._most_sources:
            self._trusted_until.clear()
        self._trusted_until[source] = now + _ASK_AGAIN_S
        return True

    def is_to_be_reported(self, host: str, now: float) -> bool:
        """Tell whether it is time to say of a source without room that it floods us."""
        host = source_of(host)
        if now - self._reported_at.get(host, -_REPORT_S) < _REPORT_S:
            return False
        if len(self._reported_at) >= self._most_sources:
            self._reported_at.clear()
        self._reported_at[host] = now
        return True

    def _make_room(self, now: float) -> None:
        """Let go of buckets that are full; in a flood from very many addresses, of all."""
        self._full_at = {host: at for host, at in self._full_at.items() if at > now}
        self._trusted_full_at = {host: at for host, at in self._trusted_full_at.items() if at > now}
        if len(self._full_at) >= self._most_sources:
            self._full_at.clear()

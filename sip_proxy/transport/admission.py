"""Who may connect, and who had to go: the counts and limits that all stream transports share."""

from collections import Counter

import structlog

from sip_proxy.core.authentication.sources import source_of
from sip_proxy.core.flow import Transport

log = structlog.get_logger()


class Admission:
    """Room for the connections of one transport, and a tally of those refused and dropped."""

    def __init__(self, transport: Transport, *, connections: int, of_one_source: int) -> None:
        """So many `connections` at once have room, and so many of one source."""
        self._transport = transport
        self._most = connections
        self._most_of_one_source = of_one_source
        self._by_source: Counter[str] = Counter()
        self._reported_refused = 0
        self.refused_count = 0
        self.dropped: Counter[str] = Counter()

    def admit(self, host: str, standing: int) -> bool:
        """Take in a connection from an IP address while there is room beside those standing.

        `leave` gives its place back. One that is not admitted counts as refused.
        """
        source = source_of(host)
        if standing >= self._most or self._by_source[source] >= self._most_of_one_source:
            self.refused_count += 1
            return False
        self._by_source[source] += 1
        return True

    def leave(self, host: str) -> None:
        """A connection that was admitted has ended."""
        source = source_of(host)
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    def note_dropped(self, reason: str, count: int, one_peer: tuple[str, int] | None) -> None:
        """Count connections that were dropped: one line, however many. By the thousand they are an attack."""
        self.dropped[reason] += count
        log.info(
            "connections_dropped",
            reason=reason,
            count=count,
            transport=self._transport.value,
            source="unknown" if one_peer is None else f"{one_peer[0]}:{one_peer[1]}",
        )

    def report_refused(self) -> None:
        """Log how many connections were refused since the last call."""
        if self.refused_count > self._reported_refused:
            count = self.refused_count - self._reported_refused
            log.warning("connections_refused", count=count, transport=self._transport.value)
            self._reported_refused = self.refused_count

"""One log line for each thing that may be an attack, and few for a flood of them."""

from collections.abc import Callable

import structlog

from sip_proxy.adapters.exchange_view import source_of
from sip_proxy.core.outputs import SecurityEvent

_LINES_PER_SPAN = 10
_SPAN_S = 10.0
_MOST_SOURCES = 10_000

log = structlog.get_logger()


_Saying = tuple[str, str, str, str]
"""What a line says: kind, source with its port, number, detail."""


class _Source:
    __slots__ = ("began_at", "left_out", "repeats")

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.repeats: dict[_Saying, int] = {}
        self.left_out = 0


class SecurityLog:
    """Logs security events.

    The same is said once in ten seconds, then how often it happened again; of one IP address there are ten
    different lines in that time at most, then how many were left out.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._sources: dict[str, _Source] = {}

    def write(self, event: SecurityEvent) -> bool:
        """Log the event unless it, or its source, has been told of enough; tell whether it was logged."""
        now = self._clock()
        host = event.flow.remote[0]
        source = self._sources.get(host)
        if source is None or now - source.began_at >= _SPAN_S:
            if source is not None:
                self._report_source(host, source)
            elif len(self._sources) >= _MOST_SOURCES:
                self._forget_quiet_sources(now)
            source = self._sources[host] = _Source(now)
        saying = (event.kind.value, source_of(event.flow), event.number, event.detail)
        if saying in source.repeats:
            source.repeats[saying] += 1
            return False
        if len(source.repeats) >= _LINES_PER_SPAN:
            source.left_out += 1
            return False
        source.repeats[saying] = 0
        kind, address, number, detail = saying
        transport = event.flow.transport.value
        log.warning("security", kind=kind, source=address, transport=transport, number=number, detail=detail)
        return True

    def report_suppressed(self) -> None:
        """Log what was not said of sources whose span is over. Call it from time to time."""
        now = self._clock()
        for host, source in list(self._sources.items()):
            if now - source.began_at >= _SPAN_S:
                self._report_source(host, source)
                del self._sources[host]

    def _report_source(self, host: str, source: _Source) -> None:
        for (kind, address, number, _), count in source.repeats.items():
            if count:
                log.warning("security_repeated", kind=kind, source=address, number=number, count=count)
        if source.left_out:
            log.warning("security_lines_left_out", source=host, count=source.left_out)

    def _forget_quiet_sources(self, now: float) -> None:
        self.report_suppressed()
        if len(self._sources) >= _MOST_SOURCES:
            # A flood from very many addresses: begin again rather than grow.
            self._sources.clear()

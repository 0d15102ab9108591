"""One log line for each thing that may be an attack, and few for a flood of them."""

from collections.abc import Callable

import structlog

from sip_proxy.adapters.exchange_view import source_of
from sip_proxy.core.outputs import SecurityEvent

_LINES_PER_SPAN = 10
_SPAN_S = 10.0
_MOST_SOURCES = 10_000

log = structlog.get_logger()


class _Source:
    __slots__ = ("began_at", "lines", "suppressed")

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.lines = 0
        self.suppressed = 0


class SecurityLog:
    """Logs security events: ten lines in ten seconds of one IP address, then how many were left out."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._sources: dict[str, _Source] = {}

    def write(self, event: SecurityEvent) -> None:
        """Log the event, unless its source has said enough."""
        now = self._clock()
        host = event.flow.remote[0]
        source = self._sources.get(host)
        if source is None or now - source.began_at >= _SPAN_S:
            if source is not None:
                self._report_suppressed(host, source)
            elif len(self._sources) >= _MOST_SOURCES:
                self._forget_quiet_sources(now)
            source = self._sources[host] = _Source(now)
        if source.lines >= _LINES_PER_SPAN:
            source.suppressed += 1
            return
        source.lines += 1
        log.warning(
            "security",
            kind=event.kind.value,
            source=source_of(event.flow),
            transport=event.flow.transport.value,
            number=event.number,
            detail=event.detail,
        )

    def report_suppressed(self) -> None:
        """Log how many lines were left out, for sources whose span is over. Call it from time to time."""
        now = self._clock()
        for host, source in list(self._sources.items()):
            if now - source.began_at >= _SPAN_S:
                self._report_suppressed(host, source)
                del self._sources[host]

    def _report_suppressed(self, host: str, source: _Source) -> None:
        if source.suppressed:
            log.warning("security_lines_left_out", source=host, count=source.suppressed)

    def _forget_quiet_sources(self, now: float) -> None:
        self.report_suppressed()
        if len(self._sources) >= _MOST_SOURCES:
            # A flood from very many addresses: begin again rather than grow.
            self._sources.clear()

"""Times as a wall clock showed them, which is what most exchanges write, as instants."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from billing_service.call_files.parsed import UnreadableLine, shorten
from billing_service.domain.wall_clock import instant_of

_FORM: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?",
    re.ASCII,
)
_HOUR: Final = timedelta(hours=1)
_MOST_HOURS: Final = 10_000
# Exchanges write whole seconds, each rounded by itself.
TOLERANCE: Final = timedelta(seconds=2)


class LocalClock:
    """Reads times of one zone. A time that the clock showed twice stands for two instants."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._even_hours: dict[str, timedelta | None] = {}

    def instants(self, text: str, column: str) -> tuple[datetime, ...]:
        """The instants at which a clock showed this time, in UTC, in their order; one with offset is one."""
        if not _FORM.fullmatch(text):
            raise UnreadableLine(f"{column}: {shorten(text)} is no time such as 2026-11-21 20:00:00")
        try:
            shown = datetime.fromisoformat(text)
            if shown.tzinfo is not None:
                return (shown.astimezone(UTC),)
            if not 1990 <= shown.year < 2200:
                raise UnreadableLine(f"{column}: {shorten(text)} is not between the years 1990 and 2199")
            offset = self._even_offset(text[:13], shown)
            if offset is not None:
                return ((shown - offset).replace(tzinfo=UTC),)
            first = instant_of(shown, self._zone)
            second = shown.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            if isinstance(error, UnreadableLine):
                raise
            raise UnreadableLine(f"{column}: there is no time {shorten(text)}") from error
        shows_it = second.astimezone(self._zone).replace(tzinfo=None) == shown
        return (first, second) if second > first and shows_it else (first,)

    def _even_offset(self, hour: str, shown: datetime) -> timedelta | None:
        """The offset of an hour in which the clock was not changed; None for other hours."""
        if hour not in self._even_hours:
            if len(self._even_hours) >= _MOST_HOURS:
                self._even_hours.clear()
            begins = shown.replace(minute=0, second=0, microsecond=0)
            offsets = {
                at.replace(tzinfo=self._zone, fold=fold).utcoffset()
                for at in (begins, begins + _HOUR)
                for fold in (0, 1)
            }
            (*_, offset) = offsets
            self._even_hours[hour] = offset if len(offsets) == 1 else None
        return self._even_hours[hour]


def nearest(instants: Iterable[datetime], to: datetime) -> datetime:
    """The instant that is nearest to another."""
    return min(instants, key=lambda at: abs(at - to))


def start_that_fits(
    starts: tuple[datetime, ...], ends: tuple[datetime, ...], duration: timedelta, column: str
) -> datetime:
    """The start from which a call of this length comes to its end, where the clock showed either twice.

    Raises UnreadableLine when none does: the times and the duration contradict each other.
    """
    for start in starts:
        if any(abs(start + duration - end) <= TOLERANCE for end in ends):
            return start
    raise UnreadableLine(
        f"{column}: the duration is not the time between start and end; is the time zone right?"
    )

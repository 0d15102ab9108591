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
# What follows the hour, which is `YYYY-MM-DD HH`, in nearly all files.
_WITHIN_HOUR: Final = {
    f":{minute:02}:{second:02}": timedelta(minutes=minute, seconds=second)
    for minute in range(60)
    for second in range(60)
}
_MOST_HOURS: Final = 10_000
# Exchanges write whole seconds, each rounded by itself.
TOLERANCE: Final = timedelta(seconds=2)


class LocalClock:
    """Reads times of one zone. A time that the clock showed twice stands for two instants."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._even_hours: dict[str, datetime] = {}

    def instants(self, text: str, column: str) -> tuple[datetime, ...]:
        """The instants at which a clock showed this time, in UTC, in their order; one with offset is one."""
        hour_at, within = self._even_hours.get(text[:13]), _WITHIN_HOUR.get(text[13:])
        if hour_at is not None and within is not None:
            return (hour_at + within,)
        if not _FORM.fullmatch(text):
            raise UnreadableLine(f"{column}: {shorten(text)} is no time such as 2026-11-21 20:00:00")
        try:
            shown = datetime.fromisoformat(text)
            # Within these years no duration leads out of the calendar.
            if not 1990 <= shown.year < 2200:
                raise UnreadableLine(f"{column}: {shorten(text)} is not between the years 1990 and 2199")
            if shown.tzinfo is not None:
                return (shown if shown.tzinfo is UTC else shown.astimezone(UTC),)
            self._look_at_hour(text[:13], shown)
            first = instant_of(shown, self._zone)
            second = shown.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            if isinstance(error, UnreadableLine):
                raise
            raise UnreadableLine(f"{column}: there is no time {shorten(text)}") from error
        shows_it = second.astimezone(self._zone).replace(tzinfo=None) == shown
        return (first, second) if second > first and shows_it else (first,)

    def _look_at_hour(self, hour: str, shown: datetime) -> None:
        """Keep when an hour began in which the clock was not changed."""
        if len(self._even_hours) >= _MOST_HOURS:
            self._even_hours.clear()
        begins = shown.replace(minute=0, second=0, microsecond=0)
        offsets = {
            at.replace(tzinfo=self._zone, fold=fold).utcoffset()
            for at in (begins, begins + _HOUR)
            for fold in (0, 1)
        }
        if len(offsets) == 1:
            self._even_hours[hour] = begins.replace(tzinfo=self._zone).astimezone(UTC)


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

"""Local wall-clock time as integers: what a clock on the wall shows, and how it runs between two instants.

Prices and fees follow the clock on the wall, durations follow real time; a clock change is where the two
part. All instants are aware datetimes; wall times are microseconds since Monday, 1 January 0001, 00:00 as
shown on the wall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

MICROSECOND: Final = timedelta(microseconds=1)
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 24 * 60 * MINUTE_US
WEEK_US: Final = 7 * DAY_US
_DAWN: Final = datetime(1, 1, 1)  # noqa: DTZ001 - what a wall clock shows has no time zone; a Monday


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of real time `[start, end)` in which the wall clock runs evenly."""

    start: datetime
    end: datetime
    wall_us: int
    """What the wall shows at `start`."""

    @property
    def duration_us(self) -> int:
        return (self.end - self.start) // MICROSECOND


def wall_us(instant: datetime, zone: tzinfo) -> int:
    """What the wall clock shows at an instant."""
    return (instant.astimezone(zone).replace(tzinfo=None) - _DAWN) // MICROSECOND


def instant_of(shown: datetime, zone: tzinfo) -> datetime:
    """The first instant at which the wall clock shows `shown` (naive), in UTC.

    A time that a clock change skips stands for the instant of the change.
    """
    first = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == shown:
        return first
    changes = _changes_between(first - timedelta(days=1), first + MICROSECOND, zone)
    return changes[-1] if changes else first


def even_stretches(start: datetime, end: datetime, zone: tzinfo) -> Iterator[Stretch]:
    """Cut `[start, end)` at the clock changes inside it; nothing when it is empty."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    at = start
    for change in (*_changes_between(start, end, zone), end):
        if at < change:
            yield Stretch(at, change, wall_us(at, zone))
            at = change


def elapsed_wall_us(start: datetime, end: datetime, zone: tzinfo) -> int:
    """How far the wall clock moves ahead from `start` to `end`.

    An hour that is shown twice counts once and one that is skipped counts too, so a period is as long as the
    calendar says, and the parts of a period add up to the whole.
    """
    return _furthest_wall_us(end, zone) - _furthest_wall_us(start, zone)


def _furthest_wall_us(instant: datetime, zone: tzinfo) -> int:
    """The latest time that the wall clock has shown up to an instant; stands still while an hour repeats."""
    instant = instant.astimezone(UTC)
    shown = wall_us(instant, zone)
    for change in _changes_between(instant - timedelta(days=2), instant, zone):
        just_before = wall_us(change - MICROSECOND, zone) + 1
        shown = max(shown, just_before)
    return shown


def _changes_between(start: datetime, end: datetime, zone: tzinfo) -> list[datetime]:
    """The instants of clock changes in `(start, end)`, both in UTC."""
    return [
        change
        for year in range(start.year, end.year + 1)
        for change in _changes_in_year(year, zone)
        if start < change < end
    ]


@lru_cache(maxsize=512)
def _changes_in_year(year: int, zone: tzinfo) -> tuple[datetime, ...]:
    """The instants of a (UTC) year at which a zone's offset changes, to the second; one a day at most."""
    if not MINYEAR < year < MAXYEAR:
        return ()
    changes = []
    day = datetime(year, 1, 1, tzinfo=UTC)
    for _ in range(366):
        following = day + timedelta(days=1)
        if day.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            changes.append(_change_within(day, zone))
        day = following
        if day.year != year:
            break
    return tuple(changes)


def _change_within(day: datetime, zone: tzinfo) -> datetime:
    """The first second at which a day that ends on another offset than it began with has the new one."""
    before = day.astimezone(zone).utcoffset()
    low, high = 0, 24 * 60 * 60
    while high - low > 1:
        middle = (low + high) // 2
        if (day + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return day + timedelta(seconds=high)

"""Local wall-clock time as integers: what a clock on the wall shows, and how it runs between two instants.

Prices and fees follow the clock on the wall, durations follow real time; a clock change is where the two
part. All instants are aware datetimes; wall times are microseconds since Monday, 1 January 0001, 00:00 as
shown on the wall.
"""

from __future__ import annotations

from bisect import bisect_right
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
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_WEEK_US: Final = 3 * DAY_US
"""How far into the week the epoch is: it was a Thursday."""
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


def epoch_us(instant: datetime) -> int:
    """Microseconds since the epoch, 1 January 1970, 00:00 UTC."""
    return (instant - EPOCH) // MICROSECOND


def offsets_between(zone: tzinfo, first_us: int, last_us: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The clock changes of a zone from one instant to another, both in microseconds since the epoch.

    Returns the instants of the changes and, one more of them, how far the wall clock is ahead of UTC in
    microseconds: `offsets[i]` holds before `changes[i]`, the last one after all changes.
    """
    start, end = EPOCH + first_us * MICROSECOND, EPOCH + last_us * MICROSECOND
    changes = [start, *_changes_between(start, end, zone)]
    return tuple(map(epoch_us, changes[1:])), tuple(_offset_us(at, zone) for at in changes)


class ZoneClock:
    """A zone's wall clock by whole numbers: each clock change is looked for once, then kept.

    Threads may share it: what it knows is replaced as a whole.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._known: tuple[int, int, tuple[int, ...], tuple[int, ...]] = (0, 0, (), ())

    def offset_at(self, instant_us: int) -> tuple[int, int]:
        """How far the wall clock is ahead of UTC at an instant, and until when at least it stays so.

        All in microseconds, instants since the epoch.
        """
        first_us, last_us, changes, offsets = self._known
        if not first_us <= instant_us < last_us:
            first_us, last_us, changes, offsets = self._learn(instant_us)
        index = bisect_right(changes, instant_us)
        return offsets[index], changes[index] if index < len(changes) else last_us

    def _learn(self, instant_us: int) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
        """Get to know the years around an instant too."""
        first_us, last_us, *_ = self._known
        year = (EPOCH + instant_us * MICROSECOND).year
        first = epoch_us(datetime(max(year - 1, MINYEAR), 1, 1, tzinfo=UTC))
        last = epoch_us(datetime(min(year + 2, MAXYEAR), 12, 31, tzinfo=UTC))
        if first_us < last_us:
            first, last = min(first, first_us), max(last, last_us)
        self._known = (first, last, *offsets_between(self.zone, first, last))
        return self._known


@lru_cache(maxsize=64)
def zone_clock(zone: tzinfo) -> ZoneClock:
    """The clock of a zone, the same one every time."""
    return ZoneClock(zone)


def _offset_us(instant: datetime, zone: tzinfo) -> int:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None, "an aware instant has an offset"
    return offset // MICROSECOND


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

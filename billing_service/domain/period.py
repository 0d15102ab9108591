"""Billing periods: half-open, in the billing time zone, anchored on a day of the month."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo

from billing_service.domain.errors import InvalidFields
from billing_service.domain.wall_clock import elapsed_wall_us, instant_of


@dataclass(frozen=True, slots=True)
class Period:
    """A span of real time `[start, end)`; both instants are aware and in order."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        assert self.start.tzinfo is not None, "a period's start must be aware"
        assert self.end.tzinfo is not None, "a period's end must be aware"
        if self.end < self.start:
            raise InvalidFields.one("end", "a period cannot end before it starts")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def overlap(self, start: datetime, end: datetime | None) -> Period | None:
        """The part of this period in `[start, end)` (no end: for ever), or None when there is none."""
        first = max(self.start, start)
        last = self.end if end is None else min(self.end, end)
        return Period(first, last) if first < last else None

    def without(self, gaps: list[Period]) -> list[Period]:
        """What is left of this period outside `gaps`, in order."""
        left: list[Period] = []
        at = self.start
        for gap in sorted(gaps, key=lambda gap: gap.start):
            if at < gap.start:
                part = self.overlap(at, gap.start)
                if part is not None:
                    left.append(part)
            at = max(at, gap.end)
        rest = self.overlap(at, None)
        return left if rest is None else [*left, rest]

    def wall_us(self, zone: tzinfo) -> int:
        """The length on the wall clock, in microseconds: a day has 24 hours, whatever the clock does."""
        return elapsed_wall_us(self.start, self.end, zone)


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """The periods of an account: one a month, from local midnight of the billing day.

    Every border is computed from the billing day itself, never from the border before it: a 31st becomes the
    last day of a shorter month and is the 31st again in the next one that has it.
    """

    zone: tzinfo
    billing_day: int

    def __post_init__(self) -> None:
        if not 1 <= self.billing_day <= 31:
            raise InvalidFields.one("billing_day", "the billing day is a day of the month, 1 to 31")

    @classmethod
    def anchored_on(cls, opened_at: datetime, zone: tzinfo) -> BillingCalendar:
        """The calendar of an account that was opened at an instant and has no billing day of its own."""
        return cls(zone, opened_at.astimezone(zone).day)

    def period_containing(self, instant: datetime) -> Period:
        """The one period that an instant is in."""
        shown = instant.astimezone(self.zone)
        # A border that a clock change skips moves to the change, so compare instants, not dates.
        start = self._border(shown.year, shown.month)
        if instant < start:
            return Period(self._border(*_month_before(shown.year, shown.month)), start)
        following = self._border(*_month_after(shown.year, shown.month))
        if instant < following:
            return Period(start, following)
        return self.period_after(Period(start, following))

    def period_after(self, period: Period) -> Period:
        """The period that follows on another."""
        return self.period_containing(period.end)

    def _border(self, year: int, month: int) -> datetime:
        day = min(self.billing_day, monthrange(year, month)[1])
        return instant_of(datetime.combine(date(year, month, day), time()), self.zone)


def _month_after(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


def _month_before(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


def first_period(opened_at: datetime, *, billing_day: int, zone: tzinfo) -> Period:
    """The first period of an account: from its opening to the first border of its calendar."""
    whole = BillingCalendar(zone, billing_day).period_containing(opened_at)
    return Period(opened_at, whole.end)

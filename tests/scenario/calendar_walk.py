"""Years of one account's life on the calendar, at the level of the domain: hundreds of them in seconds.

A walk draws what happens (plan changes, suspensions, a closing, calls and when their records arrive), lets
the clock go from one period's end to the next, and closes each period as the service does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random

from billing_service.domain.allowance import Allowance
from billing_service.domain.bill import BillContents, UnbilledCall, build_bill
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import BillingCalendar, Period, first_period
from billing_service.domain.plan import Counting, PlanTerms, Price, Weekday, Window
from billing_service.domain.proration import PlanInForce

USD = Currency.of("USD")
NIGHT = Window(None, 22 * 60, 6 * 60, Money.parse("0.01"))
SUNDAY = Window(Weekday.SUNDAY, 0, 0, Money.parse("0.02"))
MORNING = Window(None, 8 * 60, 12 * 60, Money.parse("0.05"))
PLANS = (
    PlanTerms("Started", Money.parse("9.99"), Price(Money.parse("0.10"), windows=(MORNING, SUNDAY))),
    PlanTerms(
        "Completed",
        Money.parse("30"),
        Price(Money.parse("0.09"), Money.parse("0.36"), counting=Counting.COMPLETED, windows=(NIGHT, SUNDAY)),
    ),
    PlanTerms(
        "Seconds",
        Money.parse("0.333333"),
        Price(Money.parse("0.123456"), initial_increment_s=30, next_increment_s=7, windows=(NIGHT,)),
        allowance=Allowance(60),
    ),
    PlanTerms("Free", Money(0), Price(Money(0)), allowance=Allowance(10)),
)
COMPILED = tuple(map(CompiledPlan, PLANS))
DURATIONS_S = (0, 1, 59, 60, 61, 600, 3_599, 3_600, 7_201, 86_400, 144_000)


@dataclass(frozen=True, slots=True)
class ArrivingCall:
    """A call, and when its record reaches billing."""

    call: UnbilledCall
    arrives_at: datetime


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A period with its bill and what the account was at the time."""

    bill: BillContents
    whole: Period
    charged: tuple[Period, ...]
    closed_at: datetime


@dataclass
class Walk:
    """One account from its opening to a day years later."""

    zone: tzinfo
    billing_day: int
    opened_at: datetime
    until: datetime
    chance: Random
    plans: list[PlanInForce] = field(default_factory=list)
    suspensions: list[Period] = field(default_factory=list)
    closed_at: datetime | None = None
    calls: list[ArrivingCall] = field(default_factory=list)
    closed: list[ClosedPeriod] = field(default_factory=list)

    @classmethod
    def drawn(
        cls, zone: tzinfo, billing_day: int, first_year: int, seed: int, *, days: int = 3 * 365
    ) -> Walk:
        """A walk of three years (unless told) with everything that can happen in it."""
        chance = Random(f"{zone} {billing_day} {seed}")
        start = datetime(first_year, 1, 1, tzinfo=UTC)
        opened_at = start + timedelta(microseconds=chance.randrange(366 * 86_400 * 10**6))
        walk = cls(zone, billing_day, opened_at, opened_at + timedelta(days=days), chance)
        walk._draw_plans()
        walk._draw_suspensions()
        if chance.random() < 0.5:
            walk.closed_at = walk._instant()
        walk._draw_calls()
        return walk

    def run(self) -> None:
        """Close every period that ends before the walk does, each when it is over."""
        waiting = sorted(self.calls, key=lambda arriving: arriving.arrives_at)
        calendar = BillingCalendar(self.zone, self.billing_day)
        period = first_period(self.opened_at, billing_day=self.billing_day, zone=self.zone)
        while period.end <= self.until:
            # Some closings come late, when calls of the next period have arrived already.
            closed_at = period.end + timedelta(hours=self.chance.choice((0, 0, 7)))
            arrived = [arriving for arriving in waiting if arriving.arrives_at < closed_at]
            whole = calendar.period_containing(period.start)
            charged = self._charged(period)
            bill = build_bill(
                period=period,
                whole=whole,
                charged=charged,
                plans=self.plans,
                calls=[arriving.call for arriving in arrived],
                currency=USD,
                zone=self.zone,
                compiled=COMPILED.__getitem__,
            )
            self.closed.append(ClosedPeriod(bill, whole, tuple(charged), closed_at))
            billed = {call.record_id for call in bill.calls}
            waiting = [arriving for arriving in waiting if arriving.call.record_id not in billed]
            if self.closed_at is not None and self.closed_at < period.end:
                return  # What arrives later goes on a bill of its own, which is another story.
            period = calendar.period_after(period)

    def _instant(self) -> datetime:
        span_us = (self.until - self.opened_at) // timedelta(microseconds=1)
        return self.opened_at + timedelta(microseconds=self.chance.randrange(1, span_us))

    def _draw_plans(self) -> None:
        starts = [self.opened_at, *sorted(self._instant() for _ in range(self.chance.randrange(6)))]
        versions = [self.chance.randrange(len(PLANS)) for _ in starts]
        for version, start, end in zip(versions, starts, [*starts[1:], None], strict=True):
            terms = PLANS[version]
            self.plans.append(
                PlanInForce(version, terms.name, terms.monthly_fee, start, end, version, terms.allowance)
            )

    def _draw_suspensions(self) -> None:
        borders = sorted(self._instant() for _ in range(2 * self.chance.randrange(4)))
        self.suspensions = [
            Period(start, end) for start, end in zip(borders[::2], borders[1::2], strict=True)
        ]

    def _charged(self, period: Period) -> list[Period]:
        open_part = period.overlap(self.opened_at, self.closed_at)
        return [] if open_part is None else open_part.without(self.suspensions)

    def _draw_calls(self) -> None:
        for index, answered_at in enumerate(self._interesting_instants()):
            if answered_at < self.opened_at:
                continue
            call = self._call(f"{index:05d}", answered_at)
            late = timedelta(days=self.chance.choice((0, 0, 0, 1, 40, 100)))
            self.calls.append(ArrivingCall(call, call.ended_at + late))

    def _interesting_instants(self) -> Iterator[datetime]:
        """Instants around period ends, plan changes and clock changes, and some anywhere."""
        calendar = BillingCalendar(self.zone, self.billing_day)
        borders = [plan.start for plan in self.plans]
        period = calendar.period_containing(self.opened_at)
        while period.end < self.until:
            borders.append(period.end)
            period = calendar.period_after(period)
        borders += clock_changes(self.zone, self.opened_at, self.until)
        for border in borders:
            before_us = self.chance.choice(
                (0, 1, 10**6, 3_600 * 10**6, self.chance.randrange(86_400 * 10**6))
            )
            yield border - timedelta(microseconds=before_us)
        for _ in range(20):
            yield self._instant()

    def _call(self, record_id: str, answered_at: datetime) -> UnbilledCall:
        version = max(
            (plan for plan in self.plans if plan.start <= answered_at), key=lambda plan: plan.start
        ).plan_version_id
        duration_us = self.chance.choice(DURATIONS_S) * 10**6
        plan = COMPILED[version]
        price = plan.price_at(source="0001", destination="5000", answered_at=answered_at)
        precise = plan.curve(price).price_call(
            answered_at=answered_at, duration_us=duration_us, zone=self.zone
        )
        ended_at = answered_at + timedelta(microseconds=duration_us)
        return UnbilledCall(
            record_id,
            "5000",
            answered_at,
            ended_at,
            duration_us,
            precise,
            precise.rounded(USD),
            version,
            "0001",
        )


def clock_changes(zone: tzinfo, start: datetime, end: datetime) -> list[datetime]:
    """The instants at which the zone's offset changes, to the minute, found by looking."""
    changes = []
    hour = timedelta(hours=1)
    at = start.replace(minute=0, second=0, microsecond=0)
    while at < end:
        day = at + 24 * hour
        if at.astimezone(zone).utcoffset() != day.astimezone(zone).utcoffset():
            before = at.astimezone(zone).utcoffset()
            minute = at
            while minute.astimezone(zone).utcoffset() == before:
                minute += timedelta(minutes=1)
            changes.append(minute)
        at = day
    return changes

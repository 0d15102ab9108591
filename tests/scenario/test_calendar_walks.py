"""Three years of many accounts in many zones: the rules that hold on every calendar."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.bill import LineKind
from billing_service.domain.money import Money, total
from billing_service.domain.period import Period
from billing_service.domain.rating import charge_call
from tests.scenario.calendar_walk import COMPILED, PLANS, ClosedPeriod, Walk, clock_changes
from tests.support.distribution import make_once

CALENDARS = (
    ("UTC", 2023),
    ("Europe/Zurich", 2023),
    ("America/New_York", 2027),
    ("Australia/Lord_Howe", 2023),  # half an hour, in the south
    ("America/Santiago", 2024),  # at midnight, in the south
    ("Asia/Beirut", 2022),  # at midnight
    ("Africa/Casablanca", 2023),  # twice within weeks
    ("Asia/Almaty", 2023),  # another offset for good, from a midnight on
    ("Pacific/Apia", 2011),  # a day that was never there
)
BILLING_DAYS = (1, 15, 29, 30, 31)
SEEDS = range(2)


def walks() -> Iterator[Walk]:
    for name, first_year in CALENDARS:
        for billing_day in BILLING_DAYS:
            for seed in SEEDS:
                yield Walk.drawn(ZoneInfo(name), billing_day, first_year, seed)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> list[Walk]:
    """All walks, each at its end."""
    make_once(tmp_path_factory, "the walks through years of bills")
    made = list(walks())
    for walk in made:
        walk.run()
    return made


def test_the_walks_meet_what_they_are_for(walked: list[Walk]) -> None:
    assert len(walked) == 90
    assert sum(len(walk.closed) for walk in walked) > 1500
    assert any(call.late for walk in walked for closed in walk.closed for call in closed.bill.calls)
    assert any(call.included_s for walk in walked for closed in walk.closed for call in closed.bill.calls)
    assert any(walk.closed_at for walk in walked)
    lengths = {
        (closed.whole.end.astimezone(walk.zone).date() - closed.whole.start.astimezone(walk.zone).date()).days
        for walk in walked
        for closed in walk.closed
    }
    assert lengths >= {28, 29, 30, 31}
    for name, first_year in CALENDARS[1:]:
        start = datetime(first_year, 1, 1, tzinfo=UTC)
        assert clock_changes(ZoneInfo(name), start, start + timedelta(days=4 * 365))


def test_periods_follow_on_each_other_from_the_opening_on(walked: list[Walk]) -> None:
    for walk in walked:
        at = walk.opened_at
        for closed in walk.closed:
            assert closed.bill.period.start == at
            at = closed.bill.period.end
            assert closed.whole.start <= closed.bill.period.start < closed.bill.period.end == closed.whole.end


def test_periods_begin_at_the_first_instant_of_the_billing_day(walked: list[Walk]) -> None:
    for walk in walked:
        for closed in walk.closed[1:]:
            start = closed.bill.period.start
            shown = start.astimezone(walk.zone)
            just_before = (start - timedelta(microseconds=1)).astimezone(walk.zone)
            assert just_before.date() < shown.date()
            last_of_month = (shown + timedelta(days=1)).month != shown.month
            if walk.zone.key != "Pacific/Apia" or shown.date().isoformat() != "2011-12-31":  # type: ignore[attr-defined]
                assert shown.day == walk.billing_day or (shown.day < walk.billing_day and last_of_month)


def test_fees_are_the_monthly_fee_by_the_time_in_force(walked: list[Walk]) -> None:
    for walk in walked:
        for closed in walk.closed:
            expected, parts = fee_by_the_book(walk, closed)
            charged = total(line.precise for line in closed.bill.lines if line.kind is LineKind.FEE)
            assert abs(charged.micros - expected) < max(1, parts)


def test_a_whole_period_on_one_plan_costs_the_fee_to_the_cent(walked: list[Walk]) -> None:
    seen = 0
    for walk in walked:
        for closed in walk.closed:
            in_force = [plan for plan in walk.plans if closed.whole.overlap(plan.start, plan.end)]
            if closed.charged == (closed.whole,) and len(in_force) == 1:
                fees = [line for line in closed.bill.lines if line.kind is LineKind.FEE]
                assert [line.precise for line in fees] == [in_force[0].monthly_fee]
                seen += 1
    assert seen > 500


def test_every_line_is_rounded_once_and_the_total_is_their_sum(walked: list[Walk]) -> None:
    for walk in walked:
        for closed in walk.closed:
            bill = closed.bill
            assert bill.total == total(line.amount for line in bill.lines)
            assert bill.total == bill.fee_total + bill.call_total + bill.tax_total
            for line in bill.lines:
                if line.kind is LineKind.FEE:
                    cents = line.precise.to_decimal().quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
                    assert line.amount.to_decimal() == cents
            charged = total(call.rounded for call in bill.calls) - total(call.included for call in bill.calls)
            assert bill.call_total == charged


def test_each_call_is_on_exactly_one_bill_and_on_the_right_one(walked: list[Walk]) -> None:
    for walk in walked:
        bills = Counter(call.record_id for closed in walk.closed for call in closed.bill.calls)
        assert all(count == 1 for count in bills.values())
        last_closing = walk.closed[-1].closed_at
        for arriving in walk.calls:
            ended_at = arriving.call.ended_at
            own = [closed for closed in walk.closed if ended_at in closed.bill.period]
            if not own or arriving.arrives_at >= last_closing:
                continue
            # On the bill of the first closing after both its end and its arrival.
            expected = next(
                closed
                for closed in walk.closed
                if own[0].closed_at <= closed.closed_at and arriving.arrives_at < closed.closed_at
            )
            (billed,) = [call for call in expected.bill.calls if call.record_id == arriving.call.record_id]
            assert billed.late == (billed.ended_at < expected.bill.period.start)


def test_included_minutes_are_never_more_than_the_plan_has(walked: list[Walk]) -> None:
    for walk in walked:
        for closed in walk.closed:
            used = Counter[int]()
            for call in closed.bill.calls:
                assert call.plan_version_id is not None
                used[call.plan_version_id] += call.included_s
            for version, seconds in used.items():
                assert seconds <= PLANS[version].allowance.seconds


def test_calls_cost_what_the_plain_rater_says(walked: list[Walk]) -> None:
    # It takes its time over long calls in short increments; the property tests do the rest.
    for walk in walked[:: len(SEEDS)]:
        for arriving in walk.calls[::4]:
            call = arriving.call
            if call.duration_us > 4 * 3_600 * 10**6:
                continue
            assert call.plan_version_id is not None
            price = COMPILED[call.plan_version_id].terms.base_price
            charge = charge_call(
                price, answered_at=call.answered_at, duration_us=call.duration_us, zone=walk.zone
            )
            assert call.precise == charge.precise


def test_a_suspended_or_closed_account_pays_nothing_for_that_time(walked: list[Walk]) -> None:
    seen = 0
    for walk in walked:
        for closed in walk.closed:
            if not closed.charged:
                assert closed.bill.fee_total == Money(0)
                seen += 1
    assert seen > 10


def fee_by_the_book(walk: Walk, closed: ClosedPeriod) -> tuple[Fraction, int]:
    """Fee × shown time in force ÷ shown time of the whole period, exactly, and in how many parts."""
    fee, parts = Fraction(0), 0
    for plan in walk.plans:
        for span in closed.charged:
            part = span.overlap(plan.start, plan.end)
            if part is not None:
                share = Fraction(shown_us(part, walk.zone), shown_us(closed.whole, walk.zone))
                fee, parts = fee + plan.monthly_fee.micros * share, parts + 1
    return fee, parts


def shown_us(period: Period, zone: tzinfo) -> int:
    """How far the hands of a wall clock go, which stand still while an hour comes again."""
    return (furthest(period.end, zone) - furthest(period.start, zone)) // timedelta(microseconds=1)


def furthest(instant: datetime, zone: tzinfo) -> datetime:
    shown = instant.astimezone(zone)
    if shown.fold == 0:
        return shown.replace(tzinfo=None)
    # In a repeated hour: back to the minute at which it began to repeat.
    minute = instant.replace(second=0, microsecond=0)
    while minute.astimezone(zone).fold == 1:
        minute -= timedelta(minutes=1)
    return minute.astimezone(zone).replace(tzinfo=None) + timedelta(minutes=1)

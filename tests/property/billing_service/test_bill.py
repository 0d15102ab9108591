"""What bills, fees, periods and settlements must never get wrong."""

from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.bill import UnbilledCall, build_bill
from billing_service.domain.ledger import AvailableMoney, UnpaidBill, settle
from billing_service.domain.money import Currency, Money, total
from billing_service.domain.period import BillingCalendar, Period
from billing_service.domain.proration import PlanInForce, prorate
from tests.property.billing_service.plan_strategies import amounts, anywhere, zones
from tests.support.examples import examples

days = st.integers(1, 31)
currencies = st.sampled_from([Currency.of(code) for code in ("USD", "JPY", "KWD")])
fractions = st.lists(st.integers(1, 10**6 - 1), max_size=6, unique=True)


def cut(period: Period, millionths: list[int]) -> list[Period]:
    length = period.end - period.start
    borders = [period.start + length * part / 10**6 for part in sorted(millionths)]
    return [Period(a, b) for a, b in zip([period.start, *borders], [*borders, period.end], strict=True)]


@given(anywhere, days, zones)
@settings(max_examples=examples(200))
def test_every_instant_is_in_exactly_one_period(instant: datetime, day: int, zone: tzinfo) -> None:
    calendar = BillingCalendar(zone, day)
    period = calendar.period_containing(instant)
    assert instant in period
    assert calendar.period_containing(period.start) == period
    assert calendar.period_containing(period.end - timedelta(microseconds=1)) == period
    following = calendar.period_containing(period.end)
    assert following.start == period.end
    assert timedelta(days=27) < period.end - period.start < timedelta(days=32)
    shown = period.start.astimezone(zone)
    tomorrow = shown + timedelta(days=1)
    assert shown.day == day or (shown.day < day and tomorrow.month != shown.month)


@given(anywhere, days, zones, fractions, amounts)
@settings(max_examples=examples(200))
def test_the_fees_of_the_parts_of_a_period_add_up_to_the_fee(
    instant: datetime, day: int, zone: tzinfo, millionths: list[int], fee: Money
) -> None:
    whole = BillingCalendar(zone, day).period_containing(instant)
    plans = [
        PlanInForce(index, f"Plan {index}", fee, part.start, part.end)
        for index, part in enumerate(cut(whole, millionths))
    ]
    shares = prorate(plans, whole=whole, charged=[whole], zone=zone)
    assert total(share.precise for share in shares) == fee
    assert all(share.precise >= Money(0) for share in shares)


@given(anywhere, days, zones, fractions, amounts)
@settings(max_examples=examples(200))
def test_charged_and_suspended_time_add_up_to_the_fee(
    instant: datetime, day: int, zone: tzinfo, millionths: list[int], fee: Money
) -> None:
    whole = BillingCalendar(zone, day).period_containing(instant)
    parts = cut(whole, millionths)
    plan = PlanInForce(1, "Plan", fee, whole.start, None)
    charged = prorate([plan], whole=whole, charged=parts[::2], zone=zone)
    not_charged = prorate([plan], whole=whole, charged=parts[1::2], zone=zone)
    assert total(share.precise for share in (*charged, *not_charged)) == fee


calls = st.lists(
    st.tuples(st.integers(-40 * 86_400, 40 * 86_400), st.integers(0, 5_000_000).map(Money)), max_size=30
)


@given(calls, amounts, fractions, currencies)
@settings(max_examples=examples(200))
def test_a_bill_adds_up_and_takes_every_call_that_has_ended_once(
    facts: list[tuple[int, Money]], fee: Money, millionths: list[int], currency: Currency
) -> None:
    period = BillingCalendar(UTC, 1).period_containing(datetime(2026, 11, 5, tzinfo=UTC))
    unbilled = []
    for index, (offset_s, precise) in enumerate(facts):
        ended_at = period.start + timedelta(seconds=offset_s)
        rounded = precise.rounded(currency)
        unbilled.append(UnbilledCall(str(index), "0002", ended_at, ended_at, 0, precise, rounded))
    plans = [
        PlanInForce(index, f"Plan {index}", fee, part.start, part.end)
        for index, part in enumerate(cut(period, millionths))
    ]
    bill = build_bill(
        period=period,
        whole=period,
        charged=[period],
        plans=plans,
        calls=unbilled,
        currency=currency,
        zone=UTC,
    )
    assert bill.total == total(line.amount for line in bill.lines)
    assert bill.total == bill.fee_total + bill.call_total + bill.tax_total
    assert bill.call_total == total(call.rounded for call in bill.calls)
    assert all(line.amount == line.amount.rounded(currency) for line in bill.lines)
    ended = [call.record_id for call in unbilled if call.ended_at < period.end]
    assert Counter(call.record_id for call in bill.calls) == Counter(ended)
    assert all(call.late == (call.ended_at < period.start) for call in bill.calls)


money_amounts = st.integers(1, 1000).map(Money)


@given(
    st.lists(money_amounts, max_size=6),
    st.lists(st.tuples(money_amounts, st.none() | st.integers(0, 5)), max_size=6),
)
def test_a_settlement_spends_nothing_twice_and_leaves_either_no_money_or_no_debt(
    bill_amounts: list[Money], receipts: list[tuple[Money, int | None]]
) -> None:
    bills = [UnpaidBill(index, due) for index, due in enumerate(bill_amounts)]
    money = [AvailableMoney(index, left, bill_id) for index, (left, bill_id) in enumerate(receipts)]
    settlements = settle(bills, money)
    assert all(settlement.amount > Money(0) for settlement in settlements)
    for source in money:
        spent = total(s.amount for s in settlements if s.entry_id == source.entry_id)
        assert spent <= source.left
    for bill in bills:
        paid = total(s.amount for s in settlements if s.bill_id == bill.bill_id)
        assert paid <= bill.due
    settled = total(settlement.amount for settlement in settlements)
    debt, purse = total(bill_amounts), total(left for left, _ in receipts)
    assert settled == min(debt, purse)

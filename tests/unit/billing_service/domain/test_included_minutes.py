"""Included minutes: how many there are in a period, which calls use them, and what the bill says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing_service.domain.allowance import Allowance
from billing_service.domain.bill import BillContents, LineKind, UnbilledCall, build_bill
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.errors import InvalidFields
from billing_service.domain.included_minutes import describe_seconds
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import Period
from billing_service.domain.plan import Counting, PlanTerms, Price, Window
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import Taxable, TaxRate
from billing_service.domain.wall_clock import MICROSECOND

USD = Currency.of("USD")
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
NOVEMBER = Period(START, END)
TEN_CENTS = Price(Money.parse("0.10"))


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, number, hour, tzinfo=UTC)


class Company:
    """Plans by version, and the bill of an account that has them."""

    def __init__(self, *versions: PlanTerms) -> None:
        self.compiled = {index + 1: CompiledPlan(terms) for index, terms in enumerate(versions)}

    def call(
        self, record_id: str, version: int, answered_at: datetime, seconds: int, callee: str = "5000"
    ) -> UnbilledCall:
        plan = self.compiled[version]
        duration_us = seconds * 1_000_000
        price = plan.price_at(source="0001", destination=callee, answered_at=answered_at)
        precise = plan.curve(price).price_call(answered_at=answered_at, duration_us=duration_us, zone=UTC)
        ended_at = answered_at + duration_us * MICROSECOND
        rounded = precise.rounded(USD)
        return UnbilledCall(
            record_id, callee, answered_at, ended_at, duration_us, precise, rounded, version, "0001"
        )

    def bill(
        self,
        calls: list[UnbilledCall],
        *in_force: tuple[int, int, datetime, datetime | None],
        charged: list[Period] | None = None,
        **more: object,
    ) -> BillContents:
        plans = [
            PlanInForce(
                version,
                self.compiled[version].terms.name,
                Money(0),
                start,
                end,
                plan_id,
                self.compiled[version].terms.allowance,
            )
            for version, plan_id, start, end in in_force or [(1, 1, START, None)]
        ]
        return build_bill(
            period=NOVEMBER,
            whole=NOVEMBER,
            charged=[NOVEMBER] if charged is None else charged,
            plans=plans,
            calls=calls,
            currency=USD,
            zone=UTC,
            compiled=self.compiled.__getitem__,
            **more,  # type: ignore[arg-type]
        )


def plan(minutes: int, price: Price = TEN_CENTS, *prefixes: str, name: str = "Plan") -> PlanTerms:
    return PlanTerms(name, Money(0), price, allowance=Allowance(minutes, prefixes))


def allowance_lines(bill: BillContents) -> list[tuple[str, str]]:
    return [(line.text, line.amount.format(USD)) for line in bill.lines if line.kind is LineKind.ALLOWANCE]


def test_included_minutes_pay_the_first_calls_and_the_line_says_how_many() -> None:
    company = Company(plan(5))
    calls = [company.call("a", 1, day(3), 180), company.call("b", 1, day(4), 240)]
    bill = company.bill(calls)
    assert allowance_lines(bill) == [("Plan, included minutes: 5 of 5", "-0.50")]
    assert [(call.record_id, call.included_s, call.included.format(USD)) for call in bill.calls] == [
        ("a", 180, "0.30"),
        ("b", 120, "0.20"),
    ]
    assert bill.call_total == Money.parse("0.20")


def test_what_is_not_used_is_shown_and_does_not_become_money() -> None:
    company = Company(plan(100))
    bill = company.bill([company.call("a", 1, day(3), 63 * 60)])
    assert allowance_lines(bill) == [("Plan, included minutes: 63 of 100", "-6.30")]
    assert bill.total == Money(0)


def test_a_plan_without_use_of_its_minutes_has_no_line() -> None:
    assert allowance_lines(Company(plan(100)).bill([])) == []


def test_the_order_is_that_of_the_answers_whatever_order_the_records_came_in() -> None:
    company = Company(plan(3))
    # The one that is answered first ends last.
    calls = [
        company.call("z", 1, day(3), 600),
        company.call("a", 1, day(3) + timedelta(seconds=1), 60),
        company.call("b", 1, day(2), 60),
    ]
    bill, reverse = company.bill(calls), company.bill(calls[::-1])
    assert bill == reverse
    assert {call.record_id: call.included_s for call in bill.calls} == {"z": 120, "a": 0, "b": 60}


def test_calls_answered_at_the_same_instant_go_by_their_identifiers() -> None:
    company = Company(plan(1))
    bill = company.bill([company.call("b", 1, day(3), 60), company.call("a", 1, day(3), 60)])
    assert {call.record_id: call.included_s for call in bill.calls} == {"a": 60, "b": 0}


def test_the_standing_charge_stays() -> None:
    company = Company(plan(10, Price(Money.parse("0.10"), standing_charge=Money.parse("0.36"))))
    bill = company.bill([company.call("a", 1, day(3), 120)])
    assert (bill.call_total, allowance_lines(bill)) == (
        Money.parse("0.36"),
        [("Plan, included minutes: 2 of 10", "-0.20")],
    )


def test_minutes_that_cost_nothing_use_none() -> None:
    night = Window(None, 22 * 60, 6 * 60, Money(0))
    company = Company(plan(10, Price(Money.parse("0.10"), windows=(night,))))
    # Two minutes before the night begins, three in it.
    bill = company.bill([company.call("a", 1, datetime(2026, 11, 3, 21, 58, tzinfo=UTC), 300)])
    assert allowance_lines(bill) == [("Plan, included minutes: 2 of 10", "-0.20")]


def test_a_free_night_in_the_middle_of_a_call_uses_none() -> None:
    night = Window(None, 22 * 60, 6 * 60, Money(0))
    company = Company(plan(4, Price(Money.parse("0.10"), windows=(night,))))
    # Two minutes before the night, its eight hours, and five minutes after it.
    evening = datetime(2026, 11, 3, 21, 58, tzinfo=UTC)
    bill = company.bill([company.call("a", 1, evening, (2 + 480 + 5) * 60)])
    assert allowance_lines(bill) == [("Plan, included minutes: 4 of 4", "-0.40")]


def test_the_dearer_part_of_a_call_is_paid_first_when_it_comes_first() -> None:
    evening = Window(None, 18 * 60, 22 * 60, Money.parse("0.02"))
    company = Company(plan(3, Price(Money.parse("0.10"), counting=Counting.COMPLETED, windows=(evening,))))
    bill = company.bill([company.call("a", 1, datetime(2026, 11, 3, 17, 58, tzinfo=UTC), 600)])
    # Two minutes at 0.10 and one of eight at 0.02.
    assert allowance_lines(bill) == [("Plan, included minutes: 3 of 3", "-0.22")]


def test_only_numbers_with_the_prefixes_are_covered() -> None:
    company = Company(plan(10, TEN_CENTS, "0041", "0049"))
    calls = [
        company.call("a", 1, day(3), 60, "00417"),
        company.call("b", 1, day(3), 60, "0043"),
        company.call("c", 1, day(3), 60, "004930"),
    ]
    bill = company.bill(calls)
    assert {call.record_id: call.included_s for call in bill.calls} == {"a": 60, "b": 0, "c": 60}


def test_a_late_call_uses_no_minutes_of_the_next_period() -> None:
    company = Company(plan(10))
    late = company.call("a", 1, START - timedelta(hours=1), 60)
    bill = company.bill([late])
    assert (bill.calls[0].late, bill.calls[0].included_s, bill.call_total) == (True, 0, Money.parse("0.10"))


def test_minutes_are_shared_out_by_time_in_force_like_the_fee() -> None:
    company = Company(plan(100, name="Small"), plan(200, name="Large"))
    change = datetime(2026, 11, 16, tzinfo=UTC)
    calls = [company.call("a", 1, day(2), 90 * 60), company.call("b", 2, day(20), 90 * 60)]
    bill = company.bill(calls, (1, 1, START, change), (2, 2, change, None))
    assert allowance_lines(bill) == [
        ("Small, included minutes: 50 of 50", "-5.00"),
        ("Large, included minutes: 90 of 100", "-9.00"),
    ]


def test_the_versions_of_a_plan_share_its_minutes() -> None:
    company = Company(plan(100), plan(100, Price(Money.parse("0.20"))))
    change = datetime(2026, 11, 16, tzinfo=UTC)
    calls = [company.call("a", 1, day(2), 80 * 60), company.call("b", 2, day(20), 30 * 60)]
    bill = company.bill(calls, (1, 1, START, change), (2, 1, change, None))
    # 80 minutes at 0.10 and 20 at 0.20; 10 are left to pay.
    assert allowance_lines(bill) == [("Plan, included minutes: 100 of 100", "-12.00")]
    assert bill.call_total == Money.parse("2.00")


def test_a_plan_without_included_minutes_uses_no_other_plans() -> None:
    company = Company(plan(100), plan(0))
    change = datetime(2026, 11, 16, tzinfo=UTC)
    bill = company.bill([company.call("a", 2, day(20), 60)], (1, 1, START, change), (2, 2, change, None))
    assert (allowance_lines(bill), bill.call_total) == ([], Money.parse("0.10"))


def test_time_under_suspension_includes_no_minutes() -> None:
    company = Company(plan(30))
    half = Period(START, datetime(2026, 11, 16, tzinfo=UTC))
    bill = company.bill([company.call("a", 1, day(2), 20 * 60)], charged=[half])
    assert allowance_lines(bill) == [("Plan, included minutes: 15 of 15", "-1.50")]


def test_an_open_bill_includes_the_minutes_of_the_whole_period() -> None:
    company = Company(plan(30))
    so_far = [Period(START, datetime(2026, 11, 2, tzinfo=UTC))]
    call = company.call("a", 1, day(1), 20 * 60)
    assert allowance_lines(company.bill([call], charged=so_far, entitled=[NOVEMBER])) == [
        ("Plan, included minutes: 20 of 30", "-2.00")
    ]


def test_calls_too_cheap_to_be_charged_take_nothing_off_the_others() -> None:
    # Each of the hundred costs 0.004, rounded to nothing; together they would have been 0.40.
    company = Company(plan(1000, Price(Money.parse("0.004"))), plan(0))
    calls = [company.call(f"{n:03d}", 1, day(3) + timedelta(minutes=n), 60) for n in range(100)]
    bill = company.bill(calls)
    assert (bill.call_total, bill.total) == (Money(0), Money(0))
    assert allowance_lines(bill) == [("Plan, included minutes: 100 of 1000", "0.00")]


def test_what_is_left_of_a_call_is_rounded_once() -> None:
    company = Company(plan(10, Price(Money.parse("0.009"), standing_charge=Money.parse("0.005"))))
    bill = company.bill([company.call("a", 1, day(3), 60)])
    # 0.014 is charged as 0.01; the half cent that is left of it is, too.
    assert (bill.calls[0].rounded, bill.calls[0].included) == (Money.parse("0.01"), Money(0))
    assert bill.call_total == Money.parse("0.01")


def test_part_of_a_minute_is_used_by_the_second() -> None:
    company = Company(plan(2, Price(Money.parse("0.10"), initial_increment_s=45, next_increment_s=45)))
    bill = company.bill([company.call("a", 1, day(3), 180)])
    # Four increments of 45 s, of which 120 s are included: 180 s - 120 s at 0.10 a minute are left.
    assert (bill.calls[0].included_s, bill.call_total) == (120, Money.parse("0.10"))


def test_taxes_are_on_what_the_calls_cost_after_included_minutes() -> None:
    company = Company(plan(10))
    calls = [company.call("a", 1, day(3), 20 * 60)]
    tax = TaxRate("VAT", Money.parse("10").to_decimal(), frozenset({Taxable.CALLS}), START.date())
    bill = company.bill(calls, taxes=[tax])
    assert (bill.call_total, bill.tax_total) == (Money.parse("1.00"), Money.parse("0.10"))


@pytest.mark.parametrize(
    ("minutes", "prefixes", "field"),
    [
        (-1, (), "included_minutes"),
        (1_000_001, (), "included_minutes"),
        (1, ("41", "+41"), "included_prefixes[1]"),
        (1, ("",), "included_prefixes[0]"),
    ],
)
def test_an_allowance_that_makes_no_sense_is_refused(
    minutes: int, prefixes: tuple[str, ...], field: str
) -> None:
    with pytest.raises(InvalidFields) as refused:
        Allowance(minutes, prefixes)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_an_allowance_of_no_minutes_covers_nothing() -> None:
    assert not Allowance(0).covers("5000")
    assert replace(Allowance(0), minutes=1).covers("5000")


def test_seconds_are_written_as_minutes() -> None:
    assert [describe_seconds(seconds) for seconds in (0, 60, 3750, 59)] == ["0", "1", "62:30", "0:59"]

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing_service.domain.bill import BillContents, LineKind, UnbilledCall, build_bill
from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import Taxable, TaxRate, taxes_in_force

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
USD = Currency.of("USD")
BOTH = frozenset({Taxable.FEE, Taxable.CALLS})


def rate(
    percent: str,
    *,
    name: str = "VAT",
    on: frozenset[Taxable] = BOTH,
    since: date = date(2020, 1, 1),
    to: date | None = None,
) -> TaxRate:
    return TaxRate(name, Decimal(percent), on, since, to)


def bill(*taxes: TaxRate, fee: str = "10.00", calls: tuple[str, ...] = ("0.105", "0.105")) -> BillContents:
    unbilled = [
        UnbilledCall(
            str(index),
            "0002",
            NOVEMBER.start,
            NOVEMBER.start,
            0,
            Money.parse(price),
            Money.parse(price).rounded(USD),
        )
        for index, price in enumerate(calls)
    ]
    return build_bill(
        period=NOVEMBER,
        whole=NOVEMBER,
        charged=[NOVEMBER],
        plans=[PlanInForce(1, "Plan", Money.parse(fee), NOVEMBER.start, None)],
        calls=unbilled,
        currency=USD,
        zone=UTC,
        taxes=taxes,
    )


def taxes_of(contents: BillContents) -> list[tuple[str, str, str]]:
    return [
        (line.text, line.precise.format_precise(), line.amount.format(USD))
        for line in contents.lines
        if line.kind is LineKind.TAX
    ]


def test_a_tax_is_on_the_sum_of_the_rounded_lines_and_rounded_once() -> None:
    # 10.00 + 2 × 0.11; the precise calls would come to 0.21.
    contents = bill(rate("8.1"))
    assert taxes_of(contents) == [("VAT 8.1 %", "0.827820", "0.83")]
    assert (contents.tax_total, contents.total) == (Money.parse("0.83"), Money.parse("11.05"))


def test_a_tax_is_only_on_the_kinds_of_lines_that_it_names() -> None:
    contents = bill(
        rate("10", on=frozenset({Taxable.FEE})), rate("50", name="Call tax", on=frozenset({Taxable.CALLS}))
    )
    assert taxes_of(contents) == [("Call tax 50 %", "0.110000", "0.11"), ("VAT 10 %", "1.000000", "1.00")]
    assert [line.tax_percents for line in contents.lines if line.kind is LineKind.FEE] == [("10",)]
    assert [line.tax_percents for line in contents.lines if line.kind is LineKind.CALLS] == [("50",)]


def test_taxes_are_not_taxed() -> None:
    once = taxes_of(bill(rate("10", name="A")))
    assert taxes_of(bill(rate("10", name="A"), rate("5", name="B")))[0] == once[0]


def test_a_bill_without_anything_to_tax_has_no_tax_line() -> None:
    assert taxes_of(bill(rate("8.1"), fee="0", calls=())) == []


def test_the_rate_of_the_last_day_of_the_period_is_on_the_whole_bill() -> None:
    old = rate("8.1", to=date(2026, 11, 30))
    new = rate("9", since=date(2026, 11, 30))
    assert [text for text, _, _ in taxes_of(bill(old, new))] == ["VAT 9 %"]
    next_month = rate("9", since=date(2026, 12, 1))
    assert [text for text, _, _ in taxes_of(bill(rate("8.1", to=date(2026, 12, 1)), next_month))] == [
        "VAT 8.1 %"
    ]


def test_a_rate_is_in_force_up_to_the_day_before_its_end() -> None:
    ends = rate("1", since=date(2026, 1, 1), to=date(2026, 2, 1))
    assert [ends.is_in_force(day) for day in (date(2025, 12, 31), date(2026, 1, 1))] == [False, True]
    assert [ends.is_in_force(day) for day in (date(2026, 1, 31), date(2026, 2, 1))] == [True, False]


def test_taxes_are_in_the_order_of_their_names_however_they_are_stored() -> None:
    rates = [rate("3", name="C"), rate("1", name="A"), rate("2", name="B")]
    assert [tax.name for tax in taxes_in_force(rates, date(2026, 1, 1))] == ["A", "B", "C"]


def test_a_tax_of_a_negative_amount_is_the_negative_tax() -> None:
    assert rate("8.1").of(Money(-1_000_003)) == -rate("8.1").of(Money(1_000_003))


@pytest.mark.parametrize(
    ("percent", "shown"), [("8.1000", "8.1"), ("20", "20"), ("0", "0"), ("100.0", "100")]
)
def test_a_percentage_is_shown_without_needless_zeros(percent: str, shown: str) -> None:
    assert rate(percent).show_percent() == shown


@pytest.mark.parametrize("percent", ["-1", "100.1", "NaN", "Infinity", "8.12345"])
def test_what_is_no_percentage_is_refused(percent: str) -> None:
    with pytest.raises(InvalidFields, match="percent"):
        rate(percent)


def test_a_rate_must_be_on_something_for_some_time() -> None:
    with pytest.raises(InvalidFields) as refusal:
        TaxRate("VAT", Decimal(1), frozenset(), date(2026, 1, 1), date(2026, 1, 1))
    assert [problem.field for problem in refusal.value.problems] == ["on", "valid_to"]

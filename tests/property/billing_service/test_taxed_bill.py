"""Taxes on random bills: they add up, each is rounded once, and none is on another."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.bill import LineKind, UnbilledCall, build_bill
from billing_service.domain.money import Currency, Money, total
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import Taxable, TaxRate
from tests.support.examples import examples

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
currencies = st.sampled_from([Currency.of(code) for code in ("USD", "JPY", "KWD")])
prices = st.integers(0, 50_000_000).map(Money)
rates = st.builds(
    TaxRate,
    st.text(min_size=1, max_size=5),
    st.integers(0, 1_000_000).map(lambda parts: Decimal(parts) / 10_000),
    st.sets(st.sampled_from(Taxable), min_size=1).map(frozenset),
    st.dates(date(2026, 10, 1), date(2026, 12, 31)),
)
KINDS = {Taxable.FEE: (LineKind.FEE,), Taxable.CALLS: (LineKind.CALLS, LineKind.LATE_CALLS)}


@given(prices, st.lists(prices, max_size=5), st.lists(rates, max_size=4), currencies)
@settings(max_examples=examples(100))
def test_each_tax_is_its_percentage_of_the_shown_lines_rounded_once(
    fee: Money, call_prices: list[Money], taxes: list[TaxRate], currency: Currency
) -> None:
    calls = [
        UnbilledCall(
            str(index), "0002", NOVEMBER.start, NOVEMBER.start, 0, precise, precise.rounded(currency)
        )
        for index, precise in enumerate(call_prices)
    ]
    bill = build_bill(
        period=NOVEMBER,
        whole=NOVEMBER,
        charged=[NOVEMBER],
        plans=[PlanInForce(1, "Plan", fee, NOVEMBER.start, None)],
        calls=calls,
        currency=currency,
        zone=UTC,
        taxes=taxes,
    )
    expected = []
    for tax in taxes:
        kinds = [kind for on in tax.on for kind in KINDS[on]]
        base = total(line.amount for line in bill.lines if line.kind in kinds)
        if base and tax.valid_from <= date(2026, 11, 30):
            unit = Decimal(1).scaleb(-currency.minor_digits)
            exact = base.to_decimal() * tax.percent / 100
            expected.append(exact.quantize(unit, rounding=ROUND_HALF_UP))
    taxed = [line for line in bill.lines if line.kind is LineKind.TAX]
    assert sorted(line.amount.to_decimal() for line in taxed) == sorted(expected)
    assert bill.total == bill.fee_total + bill.call_total + total(line.amount for line in taxed)
    assert all(line.tax_percents == () for line in taxed)

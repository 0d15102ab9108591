"""The short ways of closing many accounts at once lead where the plain ones do."""

import json
from datetime import UTC, date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.bill import (
    BillContents,
    CallSum,
    UnbilledCall,
    build_bill,
    build_bill_of_sums,
    fee_lines,
    last_day,
    mark_taxed,
)
from billing_service.domain.money import Currency, Money, total
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import TaxRate, taxes_in_force
from billing_service.storage.closing_rows import BilledCustomer, DueAccount
from billing_service.use_cases.bill_document import Company, freeze
from billing_service.use_cases.bill_heading import Letterhead, head_bill
from billing_service.use_cases.bill_texts import BillTexts, whole_documents
from tests.property.billing_service.test_taxed_bill import NOVEMBER, currencies, prices, rates
from tests.support.examples import examples

CLOSED_AT = NOVEMBER.end + timedelta(seconds=1)
DUE_ON = date(2026, 12, 15)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
customers = st.builds(
    BilledCustomer, st.integers(1, 10**12), texts, st.none() | texts, st.none() | texts, st.none() | texts
)
letterheads = st.builds(Letterhead, st.builds(Company, texts, texts, texts, texts), texts)
calls = st.lists(st.tuples(prices, st.booleans()), max_size=5)
taxes = st.lists(rates, max_size=3)


def unbilled(one: tuple[Money, bool], currency: Currency) -> UnbilledCall:
    precise, late = one
    ended_at = NOVEMBER.start - timedelta(days=1) if late else NOVEMBER.start
    return UnbilledCall(str(id(one)), "0002", ended_at, ended_at, 0, precise, precise.rounded(currency))


def of_sums(
    plan: PlanInForce, some: list[UnbilledCall], rates: list[TaxRate], currency: Currency
) -> BillContents:
    def together(*, late: bool) -> CallSum:
        chosen = [call for call in some if (call.ended_at < NOVEMBER.start) is late]
        return CallSum(
            len(chosen), total(call.precise for call in chosen), total(call.rounded for call in chosen)
        )

    in_force = taxes_in_force(rates, last_day(NOVEMBER, UTC))
    fees = fee_lines([plan], whole=NOVEMBER, charged=[NOVEMBER], currency=currency, zone=UTC)
    return build_bill_of_sums(
        period=NOVEMBER,
        whole=NOVEMBER,
        fees=tuple(mark_taxed(fees, in_force)),
        in_time=together(late=False),
        late=together(late=True),
        taxes=in_force,
        currency=currency,
    )


@given(prices, texts, calls, taxes, currencies, customers, letterheads)
@settings(max_examples=examples(60))
def test_a_bill_made_of_sums_and_written_as_text_is_the_bill_made_of_its_calls(
    fee: Money,
    plan_name: str,
    call_prices: list[tuple[Money, bool]],
    rates: list[TaxRate],
    currency: Currency,
    customer: BilledCustomer,
    letterhead: Letterhead,
) -> None:
    plan = PlanInForce(1, plan_name, fee, NOVEMBER.start, None)
    some = [unbilled(one, currency) for one in call_prices]
    bill = build_bill(
        period=NOVEMBER,
        whole=NOVEMBER,
        charged=[NOVEMBER],
        plans=[plan],
        calls=some,
        currency=currency,
        zone=UTC,
        taxes=rates,
    )
    short = of_sums(plan, some, rates, currency)
    assert short.lines == bill.lines
    number, account = "2026-000001", due_account(customer.id)
    heading = head_bill(
        account, customer, letterhead, number=number, closed_at=CLOSED_AT, due_on=DUE_ON, zone=UTC
    )
    writer = BillTexts(letterhead, currency, UTC, CLOSED_AT, DUE_ON)
    rests = [writer.after_number(account.number, customer, each) for each in (short, bill, short)]
    written = [json.loads(text) for text in whole_documents([number] * len(rests), rests)]
    assert written == [freeze(heading, bill, currency)] * len(rests)


def due_account(customer_id: int) -> DueAccount:
    return DueAccount(
        id=1,
        number="0001",
        customer_id=customer_id,
        state="active",
        billing_day=1,
        period_billing_day=None,
        closes_on_request=False,
        closed_at=None,
        period_start=NOVEMBER.start,
        period_end=NOVEMBER.end,
    )

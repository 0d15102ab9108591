"""Bills that were wrong: voided, closed again, replaced; and what that does to money and phones."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from billing_service.domain.money import Money
from billing_service.errors import Conflict, NotFound
from billing_service.storage.billed_calls import holder_of_call
from billing_service.storage.tables import Bill, Call, Customer, LedgerEntry, PhoneAccount
from billing_service.use_cases.edit_account import edit_account
from billing_service.use_cases.find_bills import list_revisions
from billing_service.use_cases.reclose_bill import recompute_bill
from tests.scenario.billing_world import ACTOR, BillingWorld, at


@pytest.fixture
def billed(world: BillingWorld) -> BillingWorld:
    """Account 0001 with a fee of 10.00, one call of 0.10 in November, whose bill is closed."""
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    world.call("0001", at("2026-11-05T12:00"))
    world.close(at("2026-12-01"))
    return world


def balance(world: BillingWorld) -> str:
    return f"{world.look('0001', at('2027-06-01')).balance:.2f}"


def ledger(world: BillingWorld) -> list[tuple[str, str]]:
    return world.database.run_blocking(
        lambda session: [
            (kind, f"{amount:.2f}")
            for kind, amount in session.execute(
                select(LedgerEntry.kind, LedgerEntry.amount).order_by(LedgerEntry.id)
            )
        ]
    )


def bills_of_calls(world: BillingWorld) -> list[str | None]:
    calls = (
        select(Bill.number).outerjoin_from(Call, Bill, Bill.id == holder_of_call()).order_by(Call.ended_at)
    )
    return world.database.run_blocking(lambda session: list(session.scalars(calls)))


def edit_customer(world: BillingWorld, **fields: Any) -> None:
    def work(session: Any) -> None:
        for name, value in fields.items():
            setattr(session.scalars(select(Customer)).one(), name, value)

    world.database.run_blocking(work)


def test_nothing_is_owed_on_a_void_bill_and_its_calls_stay_on_it(billed: BillingWorld) -> None:
    billed.void("2026-000001", at("2026-12-02"))
    bill = billed.bill("2026-000001")
    assert (bill["state"], bill["total"], bill["amount_due"]) == ("void", "10.10", "0.00")
    assert bill["void"] == {"at": "2026-12-02T00:00:00.000000Z", "reason": "Wrong"}
    assert ledger(billed) == [("charge", "-10.10"), ("reversal", "10.10")]
    assert balance(billed) == "0.00"
    assert bills_of_calls(billed) == ["2026-000001"]
    billed.close(at("2027-01-01"))
    assert billed.documents("0001")[1]["call_total"] == "0.00"
    billed.check_books()


def test_what_was_paid_on_a_void_bill_pays_the_next_one(billed: BillingWorld) -> None:
    billed.pay("0001", "10.10", at("2026-12-02"))
    billed.close(at("2027-01-01"))
    assert billed.void("2026-000001", at("2027-01-02")).settled == ("2027-000001",)
    assert billed.bill("2027-000001")["state"] == "paid"
    assert balance(billed) == "0.10"
    billed.check_books()


def test_a_void_bill_is_void_once(billed: BillingWorld) -> None:
    billed.void("2026-000001", at("2026-12-02"))
    with pytest.raises(Conflict, match="void already"):
        billed.void("2026-000001", at("2026-12-03"))
    with pytest.raises(Conflict, match="is void"):
        billed.pay("0001", "1.00", at("2026-12-03"), bill="2026-000001")
    with pytest.raises(NotFound):
        billed.void("2026-000099", at("2026-12-03"))
    billed.check_books()


def test_a_void_bill_closed_again_is_replaced_by_one_with_its_own_number(billed: BillingWorld) -> None:
    billed.void("2026-000001", at("2026-12-02"))
    result = billed.reclose("2026-000001", at("2026-12-03"))
    assert (result.number, result.revision, result.changed) == ("2026-000002", 1, True)
    old, new = billed.bill("2026-000001"), billed.bill("2026-000002")
    assert (old["replaced_by"], new["replaces"]) == ("2026-000002", "2026-000001")
    assert (new["lines"], new["calls"], new["period"]) == (old["lines"], old["calls"], old["period"])
    assert (new["closed_at"], new["due_on"]) == ("2026-12-03T00:00:00.000000Z", "2026-12-17")
    assert bills_of_calls(billed) == ["2026-000002"]
    with pytest.raises(Conflict, match="replaced by 2026-000002"):
        billed.reclose("2026-000001", at("2026-12-04"))
    billed.void("2026-000002", at("2026-12-05"))
    assert billed.reclose("2026-000002", at("2026-12-06")).number == "2026-000003"
    assert balance(billed) == "-10.10"
    billed.check_books()


def test_closing_again_what_has_not_changed_makes_no_revision(billed: BillingWorld) -> None:
    result = billed.reclose("2026-000001", at("2026-12-02"))
    assert (result.number, result.revision, result.changed) == ("2026-000001", 1, False)
    assert ledger(billed) == [("charge", "-10.10")]
    assert len(revisions(billed)) == 1


def revisions(world: BillingWorld) -> list[tuple[int, str, str]]:
    return world.database.run_blocking(
        lambda session: [
            (one.revision, one.reason, one.total) for one in list_revisions(session, "2026-000001")
        ]
    )


def test_calls_that_came_too_late_go_on_the_bill_when_it_is_closed_again(billed: BillingWorld) -> None:
    billed.call("0001", at("2026-11-30T12:00"), 3)
    result = billed.reclose("2026-000001", at("2026-12-02"))
    assert (result.revision, result.changed) == (2, True)
    now, before = billed.bill("2026-000001"), billed.bill("2026-000001", revision=1)
    assert (now["total"], now["amount_due"], now["revision"]) == ("10.40", "10.40", 2)
    assert [call["late"] for call in now["calls"]] == [False, False]
    assert (before["total"], before["state"], before["amount_due"]) == ("10.10", "superseded", "0.00")
    assert revisions(billed) == [(1, "", "10.10"), (2, "Put right", "10.40")]
    assert ledger(billed) == [("charge", "-10.10"), ("charge", "-0.30")]
    billed.close(at("2027-01-01"))
    assert billed.documents("0001")[1]["calls"] == []
    billed.check_books()


def test_a_paid_bill_that_comes_to_more_is_unpaid_again_and_credit_pays_it(billed: BillingWorld) -> None:
    billed.pay("0001", "10.10", at("2026-12-02"))
    billed.call("0001", at("2026-11-30T12:00"), 3)
    assert billed.reclose("2026-000001", at("2026-12-03")).settled == ()
    bill = billed.bill("2026-000001")
    assert (bill["state"], bill["paid"], bill["amount_due"]) == ("closed", "10.10", "0.30")
    billed.call("0001", at("2026-11-30T13:00"), 2)
    billed.pay("0001", "1.00", at("2026-12-04"))
    assert billed.reclose("2026-000001", at("2026-12-05")).settled == ("2026-000001",)
    assert (billed.bill("2026-000001")["state"], balance(billed)) == ("paid", "0.50")
    billed.check_books()


def test_a_paid_bill_that_comes_to_less_gives_the_rest_back_as_credit(billed: BillingWorld) -> None:
    billed.tax("VAT", "10", date(2026, 1, 1))
    billed.reclose("2026-000001", at("2026-12-01"))
    billed.pay("0001", "11.11", at("2026-12-02"))
    edit_customer(billed, tax_exempt=True)
    result = billed.reclose("2026-000001", at("2026-12-03"))
    bill = billed.bill("2026-000001")
    assert (bill["revision"], bill["state"], bill["total"], bill["paid"]) == (3, "paid", "10.10", "10.10")
    assert result.settled == (), "it was paid before, and is"
    assert ledger(billed)[-1] == ("reversal", "1.01")
    assert balance(billed) == "1.01"
    billed.refund("0001", "1.01", at("2026-12-04"))
    billed.check_books()


def test_a_corrected_address_is_a_revision_that_costs_nothing(billed: BillingWorld) -> None:
    edit_customer(billed, address="12 Station Road")
    assert billed.reclose("2026-000001", at("2026-12-02")).revision == 2
    assert billed.bill("2026-000001")["customer"]["address"] == "12 Station Road"
    assert billed.bill("2026-000001", revision=1)["customer"]["address"] is None
    assert ledger(billed) == [("charge", "-10.10")]


def test_the_tax_of_the_periods_last_day_is_on_the_bill_and_an_exempt_customer_pays_none(
    world: BillingWorld,
) -> None:
    world.tax("VAT", "8.1", date(2020, 1, 1), date(2026, 12, 16))
    world.tax("VAT", "9", date(2026, 12, 16))
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    world.call("0001", at("2026-11-05T12:00"))
    world.close(at("2027-01-01"))
    november, december = world.documents("0001")
    assert [(line["kind"], line["text"], line["amount"]) for line in november["lines"]] == [
        ("fee", "Plan, 1–30 November 2026", "10.00"),
        ("calls", "1 call", "0.10"),
        ("tax", "VAT 8.1 %", "0.82"),
    ]
    assert november["lines"][2]["tax"] == {"name": "VAT", "percent": "8.1", "base": "10.10"}
    assert (november["tax_total"], november["total"]) == ("0.82", "10.92")
    assert [line["amount"] for line in december["lines"]] == ["10.00", "0.90"]
    edit_customer(world, tax_exempt=True)
    world.close(at("2027-02-01"))
    assert world.documents("0001")[2]["tax_total"] == "0.00"
    world.check_books()


def test_voiding_an_unpaid_bill_lets_a_phone_speak_that_only_unpaid_bills_had_silenced(
    billed: BillingWorld,
) -> None:
    billed.close(at("2027-02-01"))
    assert billed.look("0001", at("2027-02-01")).account.state == "suspended"
    assert billed.void("2026-000001", at("2027-02-02")).reactivated
    assert billed.look("0001", at("2027-02-02")).account.state == "active"
    billed.check_books()


def test_a_bill_that_is_unpaid_again_suspends_at_the_limit(billed: BillingWorld) -> None:
    billed.pay("0001", "10.10", at("2026-12-02"))
    billed.close(at("2027-02-01"))
    assert billed.look("0001", at("2027-02-01")).account.state == "active"
    billed.call("0001", at("2027-01-31T12:00"))
    late_in_november = billed.record_of("0001", at("2026-11-30T12:00"))
    billed.deliver(late_in_november)
    assert billed.reclose("2026-000001", at("2027-02-02")).suspended
    assert billed.states("0001")[-1][0::3] == ("suspended", "unpaid_bills")
    billed.check_books()


def test_the_fee_is_a_share_of_the_period_it_was_begun_in_whatever_the_billing_day_is_now(
    billed: BillingWorld,
) -> None:
    def edit(session: Any) -> None:
        edit_account(session, "0001", {"billing_day": 15}, actor=ACTOR)

    billed.database.run_blocking(edit)
    billed.close(at("2027-01-15"))
    totals = [(one["period"]["end"][:10], one["fee_total"]) for one in billed.documents("0001")]
    # December is whole; then half a month of fifteen to fifteen: 14 days of 31.
    assert totals == [("2026-12-01", "10.00"), ("2027-01-01", "10.00"), ("2027-01-15", "4.52")]
    assert not billed.reclose("2026-000001", at("2027-01-16")).changed
    assert not billed.reclose("2027-000001", at("2027-01-16")).changed


def test_every_bill_can_be_computed_again_to_the_cent_from_what_is_stored(billed: BillingWorld) -> None:
    billed.tax("VAT", "7.7", date(2020, 1, 1))
    for day in (3, 9, 27):
        billed.call("0001", at(f"2026-12-{day:02}T23:50"), 7 * day)
    billed.change_plan("0001", billed.plan("Other", "33.33"), at("2026-12-13T11:11"))
    billed.call("0001", at("2026-11-29T12:00"))
    billed.close(at("2027-04-01"))

    def work(session: Any) -> None:
        account = session.scalars(select(PhoneAccount)).one()
        bills = session.scalars(select(Bill).order_by(Bill.period_start)).all()
        assert len(bills) == 5
        for bill in bills[1:]:
            again = recompute_bill(session, bill, account, compiled_plans=billed.plans)
            assert again.total == Money.from_decimal(bill.total)

    billed.database.run_blocking(work)
    assert not any(
        billed.reclose(bill["number"], at("2027-04-02")).changed for bill in billed.documents("0001")[1:]
    )

"""Months of calendar against a real database: what is on which bill, and who may still call."""

from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Window
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.edit_account import close_account, reactivate_account, suspend_account
from tests.scenario.billing_world import ACTOR, BillingWorld, at


def test_a_month_ends_on_a_bill(world: BillingWorld) -> None:
    world.account("0001", world.plan("Evening", "5.00"), at("2026-10-21"))
    record_id = world.call("0001", at("2026-11-01T12:00"), minutes=12)
    world.call("0001", at("2026-11-02T12:00"), answered=False)

    assert world.close(at("2026-11-20T23:59:59")).bills == ()
    closing = world.close(at("2026-11-21"))

    assert closing.bills == ("2026-000001",)
    (bill,) = world.documents("0001")
    assert bill["number"] == "2026-000001"
    assert bill["account"] == "0001"
    assert bill["customer"]["name"] == "Customer of 0001"
    assert bill["period"] == {"start": "2026-10-21T00:00:00.000000Z", "end": "2026-11-21T00:00:00.000000Z"}
    assert bill["due_on"] == "2026-12-05"
    assert [(line["kind"], line["amount"]) for line in bill["lines"]] == [("fee", "5.00"), ("calls", "1.20")]
    assert [call["record_id"] for call in bill["calls"]] == [record_id]
    assert (bill["fee_total"], bill["call_total"], bill["total"]) == ("5.00", "1.20", "6.20")
    assert world.look("0001", at("2026-11-21")).balance == Money.parse("-6.20").to_decimal()
    world.check_books()


def test_the_open_bill_is_the_bill_that_a_closing_would_make(world: BillingWorld) -> None:
    world.account("0001", world.plan("Evening", "30.00"), at("2026-11-01"))
    world.call("0001", at("2026-11-02T12:00"), minutes=3)
    half = world.open_bill("0001", at("2026-11-16"))
    assert (half["state"], half["number"], half["total"]) == ("open", None, "15.30")
    assert (half["paid"], half["amount_due"], half["closed_at"], half["due_on"]) == (
        "0.00",
        "15.30",
        None,
        None,
    )
    whole = world.open_bill("0001", at("2026-12-01"))
    world.close(at("2026-12-01"))
    (closed,) = world.documents("0001")
    for field in ("lines", "calls", "period", "total", "fee_total", "call_total", "customer", "account"):
        assert closed[field] == whole[field]


@pytest.mark.parametrize("day", [29, 30, 31])
def test_a_billing_day_that_some_months_lack_comes_back(world: BillingWorld, day: int) -> None:
    opened = at(f"2026-12-{day}")
    world.account("0001", world.plan("Plan", "1.00"), opened)
    world.close(at("2027-05-01"))
    ends = [bill["period"]["end"][:10] for bill in world.documents("0001")]
    assert ends == [
        f"2027-01-{day}",
        "2027-02-28",
        f"2027-03-{day}",
        "2027-04-30" if day > 29 else "2027-04-29",
    ]
    assert {bill["total"] for bill in world.documents("0001")} == {"1.00"}
    world.check_books()


def test_closing_catches_up_on_every_period_that_was_missed(world: BillingWorld) -> None:
    plan = world.plan("Plan", "1.00")
    world.account("0001", plan, at("2026-01-15"))
    world.account("0002", plan, at("2026-03-20"))
    world.call("0001", at("2026-02-20T10:00"), minutes=5)
    closing = world.close(at("2026-06-15"))
    assert len(closing.bills) == 5 + 2
    totals = [bill["total"] for bill in world.documents("0001")]
    assert totals == ["1.00", "1.50", "1.00", "1.00", "1.00"]
    assert world.close(at("2026-06-15")).bills == ()
    world.check_books()


def test_bills_are_numbered_without_a_gap_in_each_year(world: BillingWorld) -> None:
    plan = world.plan("Plan", "1.00")
    for number in ("0001", "0002"):
        world.account(number, plan, at("2026-11-15"))
    assert world.close(at("2026-12-15")).bills == ("2026-000001", "2026-000002")
    assert world.close(at("2027-01-15")).bills == ("2027-000001", "2027-000002")
    assert world.close(at("2027-02-15")).bills == ("2027-000003", "2027-000004")
    world.check_books()


def test_a_plan_change_in_mid_period_is_prorated_and_calls_keep_the_plan_of_their_answer(
    world: BillingWorld,
) -> None:
    world.account("0001", world.plan("Small", "30.00"), at("2026-11-01"))
    world.call("0001", at("2026-11-05T12:00"))
    world.change_plan("0001", world.plan("Large", "60.00", Price(Money(0))), at("2026-11-11"))
    world.call("0001", at("2026-11-12T12:00"))
    world.call("0001", at("2026-11-10T12:00"))
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert [(line["text"], line["amount"]) for line in bill["lines"]] == [
        ("Small, 1–10 November 2026", "10.00"),
        ("Large, 11–30 November 2026", "40.00"),
        ("3 calls", "0.20"),
    ]
    assert [call["price"] for call in bill["calls"]] == ["0.10", "0.10", "0.00"]


def test_a_call_over_the_end_of_the_period_belongs_to_the_next(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "0"), at("2026-11-01"))
    world.call("0001", at("2026-11-30T23:58"), minutes=2)
    world.call("0001", at("2026-11-30T23:57"), minutes=2)
    world.close(at("2026-12-01"))
    (november,) = world.documents("0001")
    assert november["total"] == "0.20"
    world.close(at("2027-01-01"))
    assert world.documents("0001")[1]["calls"][0]["late"] is False
    assert world.documents("0001")[1]["total"] == "0.20"


def test_a_call_that_arrives_after_its_period_was_closed_is_late_on_the_next_bill(
    world: BillingWorld,
) -> None:
    world.account("0001", world.plan("Plan", "0"), at("2026-11-01"))
    world.close(at("2026-12-01"))
    late = world.call("0001", at("2026-11-15T12:00"), minutes=3)
    world.call("0001", at("2026-12-15T12:00"), minutes=1)
    world.close(at("2027-01-01"))
    november, december = world.documents("0001")
    assert november["calls"] == []
    assert [(line["kind"], line["amount"]) for line in december["lines"]] == [
        ("fee", "0.00"),
        ("calls", "0.10"),
        ("late_calls", "0.30"),
    ]
    assert [(call["record_id"] == late, call["late"]) for call in december["calls"]] == [
        (True, True),
        (False, False),
    ]
    assert december["calls"][0]["answered_at"] == "2026-11-15T12:00:00.000000Z"
    world.close(at("2027-02-01"))
    assert world.documents("0001")[2]["calls"] == []
    world.check_books()


def test_emergency_calls_and_unanswered_ones_are_on_no_bill(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "0", Price(Money.parse("9.99"))), at("2026-11-01"))
    world.call("0001", at("2026-11-15T12:00"), minutes=30, emergency=True)
    world.call("0001", at("2026-11-15T13:00"), answered=False)
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert [line["kind"] for line in bill["lines"]] == ["fee"]
    assert (bill["calls"], bill["total"]) == ([], "0.00")


def test_local_time_decides_the_period_and_the_windows(database: Database) -> None:
    zurich = ZoneInfo("Europe/Zurich")
    world = BillingWorld(database, zone=zurich)
    night = Window(None, 22 * 60, 6 * 60, Money(0))
    price = Price(
        Money.parse("0.09"),
        standing_charge=Money.parse("0.36"),
        counting=Counting.COMPLETED,
        windows=(night,),
    )
    world.account("0001", world.plan("Night", "31.00", price), at("2026-10-01", zurich))
    world.call("0001", at("2026-10-31T21:58", zurich), minutes=10)
    world.call("0001", at("2026-10-31T23:50", zurich), minutes=9)
    world.call("0001", at("2026-10-31T23:50", zurich), minutes=10)
    world.close(at("2026-10-31T23:59:59", zurich))
    assert world.documents("0001") == []
    world.close(at("2026-11-01", zurich))
    (october,) = world.documents("0001")
    assert october["timezone"] == "Europe/Zurich"
    assert october["period"] == {"start": "2026-09-30T22:00:00.000000Z", "end": "2026-10-31T23:00:00.000000Z"}
    assert [call["price"] for call in october["calls"]] == ["0.54", "0.36"]
    assert october["fee_total"] == "31.00"


def test_an_account_opened_within_its_first_period_pays_from_that_second(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "30.00"), at("2026-11-16"), billing_day=1)
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert bill["period"] == {"start": "2026-11-16T00:00:00.000000Z", "end": "2026-12-01T00:00:00.000000Z"}
    assert bill["total"] == "15.00"


def test_a_closed_account_pays_up_to_its_last_second_and_is_billed_once_more(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "30.00"), at("2026-11-01"))
    world.call("0001", at("2026-11-10T12:00"))
    world.database.run_blocking(
        lambda session: close_account(session, "0001", actor=ACTOR, at=at("2026-11-16"))
    )
    world.close(at("2026-12-01"))
    assert [bill["total"] for bill in world.documents("0001")] == ["15.10"]
    assert world.close(at("2027-03-01")).bills == ()


def test_a_call_that_arrives_after_the_last_bill_of_a_closed_account_is_billed_all_the_same(
    world: BillingWorld,
) -> None:
    world.account("0001", world.plan("Plan", "0"), at("2026-11-01"))
    world.database.run_blocking(
        lambda session: close_account(session, "0001", actor=ACTOR, at=at("2026-11-16"))
    )
    world.close(at("2026-12-01"))
    world.call("0001", at("2026-11-15T12:00"), minutes=2)
    assert world.close(at("2026-12-15")).bills == ()
    assert len(world.close(at("2027-06-01")).bills) == 1
    assert [bill["total"] for bill in world.documents("0001")] == ["0.00", "0.20"]
    assert world.close(at("2028-01-01")).bills == ()
    world.check_books()


def test_a_call_that_a_closed_account_made_long_after_its_end_is_billed_once(world: BillingWorld) -> None:
    """An exchange that did not hear of the closing for months may let that happen."""
    world.account("0001", world.plan("Plan", "5.00"), at("2026-11-01"))
    world.database.run_blocking(
        lambda session: close_account(session, "0001", actor=ACTOR, at=at("2026-11-16"))
    )
    world.close(at("2026-12-01"))
    world.call("0001", at("2027-02-15T12:00"), minutes=2)
    assert world.open_bill("0001", at("2027-02-16"))["total"] == "0.20"
    assert world.close(at("2027-02-28")).bills == ()
    assert len(world.close(at("2027-03-01")).bills) == 1
    extra = world.documents("0001")[-1]
    assert extra["period"] == {"start": "2026-12-01T00:00:00.000000Z", "end": "2027-03-01T00:00:00.000000Z"}
    assert [(line["kind"], line["amount"]) for line in extra["lines"]] == [("calls", "0.20")]
    assert world.close(at("2028-01-01")).bills == ()
    world.check_books()


def test_time_under_suspension_is_not_charged(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "30.00"), at("2026-11-01"))
    run = world.database.run_blocking
    run(lambda session: suspend_account(session, "0001", actor=ACTOR, at=at("2026-11-07")))
    run(lambda session: reactivate_account(session, "0001", actor=ACTOR, at=at("2026-11-16")))
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert bill["total"] == "21.00"
    assert bill["lines"][0]["text"] == "Plan, 1–6 November 2026, 16–30 November 2026"

"""Included minutes from the arrival of calls to closed bills, against a real database."""

from datetime import timedelta
from typing import Any

from billing_service.use_cases.edit_account import suspend_account
from billing_service.use_cases.manage_plans import PlanEdit, edit_plan
from tests.scenario.billing_world import ACTOR, BillingWorld, at


def lines(bill: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(line["kind"], line["text"], line["amount"]) for line in bill["lines"]]


def test_included_minutes_are_on_the_open_bill_and_on_the_closed_one(world: BillingWorld) -> None:
    world.account("0001", world.plan("Family", "12.00", included=100), at("2026-11-01"))
    world.call("0001", at("2026-11-03T12:00"), minutes=63)
    half = world.open_bill("0001", at("2026-11-16"))
    # The fee so far, but the minutes of the whole month.
    assert lines(dict(half)) == [
        ("fee", "Family, 1–15 November 2026", "6.00"),
        ("calls", "1 call", "6.30"),
        ("allowance", "Family, included minutes: 63 of 100", "-6.30"),
    ]
    world.call("0001", at("2026-11-20T12:00"), minutes=50)
    whole = world.open_bill("0001", at("2026-12-01"))
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert lines(bill) == [
        ("fee", "Family, 1–30 November 2026", "12.00"),
        ("calls", "2 calls", "11.30"),
        ("allowance", "Family, included minutes: 100 of 100", "-10.00"),
    ]
    assert bill["lines"] == whole["lines"]
    assert (bill["call_total"], bill["total"]) == ("1.30", "13.30")
    assert [(call["included_s"], call["included"]) for call in bill["calls"]] == [
        (3780, "6.30"),
        (2220, "3.70"),
    ]
    world.check_books()


def test_every_period_has_its_minutes_and_a_late_call_uses_none_of_the_next(world: BillingWorld) -> None:
    world.account("0001", world.plan("Family", "0", included=10), at("2026-11-01"))
    late = world.record_of("0001", at("2026-11-20T12:00"), minutes=5)
    world.call("0001", at("2026-11-21T12:00"), minutes=8)
    world.close(at("2026-12-01"))
    world.deliver(late)
    world.call("0001", at("2026-12-02T12:00"), minutes=10)
    world.close(at("2027-01-01"))
    november, december = world.documents("0001")
    assert november["total"] == "0.00"
    assert lines(december)[1:] == [
        ("calls", "1 call", "1.00"),
        ("late_calls", "1 call of earlier periods", "0.50"),
        ("allowance", "Family, included minutes: 10 of 10", "-1.00"),
    ]
    assert december["total"] == "0.50"
    world.check_books()


def test_minutes_follow_plan_changes_and_suspension(world: BillingWorld) -> None:
    small, large = world.plan("Small", "0", included=30), world.plan("Large", "0", included=300)
    world.account("0001", small, at("2026-11-01"))
    world.call("0001", at("2026-11-05T12:00"), minutes=20)
    world.change_plan("0001", large, at("2026-11-11"))
    world.call("0001", at("2026-11-12T12:00"), minutes=60)
    world.database.run_blocking(
        lambda session: suspend_account(session, "0001", actor=ACTOR, at=at("2026-11-16"))
    )
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    # 30 minutes for 10 of 30 days, then 300 for 5 of 30.
    assert [(text, amount) for kind, text, amount in lines(bill) if kind == "allowance"] == [
        ("Small, included minutes: 10 of 10", "-1.00"),
        ("Large, included minutes: 50 of 50", "-5.00"),
    ]
    assert bill["call_total"] == "2.00"
    world.check_books()


def test_the_order_in_which_records_arrive_changes_nothing(world: BillingWorld) -> None:
    plan = world.plan("Family", "0", included=7)
    for number in ("0001", "0002"):
        world.account(number, plan, at("2026-11-01"))
    started = [at("2026-11-03T12:00") + timedelta(minutes=7 * n) for n in range(6)]
    for when, minutes in zip(started, (1, 3, 2, 4, 1, 2), strict=True):
        world.call("0001", when, minutes=minutes)
    for when, minutes in reversed(list(zip(started, (1, 3, 2, 4, 1, 2), strict=True))):
        world.call("0002", when, minutes=minutes)
    world.close(at("2026-12-01"))
    (forwards,), (backwards,) = world.documents("0001"), world.documents("0002")
    assert forwards["lines"] == backwards["lines"]
    assert [call["included"] for call in forwards["calls"]] == [
        call["included"] for call in backwards["calls"]
    ]
    assert sum(call["included_s"] for call in forwards["calls"]) == 7 * 60


def test_a_bill_that_is_closed_again_gives_late_calls_the_minutes_of_their_period(
    world: BillingWorld,
) -> None:
    world.account("0001", world.plan("Family", "0", included=10), at("2026-11-01"))
    late = world.record_of("0001", at("2026-11-20T12:00"), minutes=5)
    world.call("0001", at("2026-11-21T12:00"), minutes=8)
    (number,) = world.close(at("2026-12-01")).bills
    world.deliver(late)
    assert world.open_bill("0001", at("2026-12-02"))["total"] == "0.50"

    world.reclose(number, at("2026-12-02"))

    bill = world.bill(number)
    # The late one was answered first, so it uses its five minutes before the other its eight.
    assert lines(bill)[1:] == [
        ("calls", "2 calls", "1.30"),
        ("allowance", "Family, included minutes: 10 of 10", "-1.00"),
    ]
    assert bill["total"] == "0.30"
    assert world.open_bill("0001", at("2026-12-02"))["total"] == "0.00"
    world.check_books()


def test_calls_after_a_plan_lost_its_minutes_use_none_of_those_that_it_had(world: BillingWorld) -> None:
    plan = world.plan("Family", "0", included=100)
    world.account("0001", plan, at("2026-11-01"))
    world.call("0001", at("2026-11-03T12:00"), minutes=5)
    world.database.run_blocking(
        lambda session: edit_plan(
            session, plan, PlanEdit(included_minutes=0), actor=ACTOR, at=at("2026-11-16")
        )
    )
    world.call("0001", at("2026-11-20T12:00"), minutes=7)
    assert world.open_bill("0001", at("2026-11-21"))["total"] == "0.70"
    world.close(at("2026-12-01"))
    (bill,) = world.documents("0001")
    assert lines(bill)[-2:] == [
        ("calls", "2 calls", "1.20"),
        ("allowance", "Family, included minutes: 5 of 50", "-0.50"),
    ]
    world.check_books()

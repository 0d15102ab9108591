"""Bills that are paid and bills that are not: what a payment pays, who is suspended, who may call again."""

import pytest
from sqlalchemy import select, text

from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Money
from billing_service.errors import Conflict
from billing_service.storage.tables import Bill, DirectoryClock
from billing_service.use_cases.edit_account import reactivate_account, suspend_account
from tests.scenario.billing_world import ACTOR, BillingWorld, at


@pytest.fixture
def world_with_account(world: BillingWorld) -> BillingWorld:
    """Account 0001, opened on 1 November 2026, with a fee of 10.00 a month."""
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    return world


def bill_states(world: BillingWorld) -> list[tuple[str, str]]:
    return world.database.run_blocking(
        lambda session: [
            tuple(row) for row in session.execute(select(Bill.number, Bill.state).order_by(Bill.number))
        ]
    )


def directory_version(world: BillingWorld) -> int:
    version = world.database.run_blocking(lambda session: session.scalar(select(DirectoryClock.version)))
    assert version is not None
    return version


def test_the_third_unpaid_bill_suspends_and_the_exchange_is_told(world_with_account: BillingWorld) -> None:
    world = world_with_account
    assert world.close(at("2027-01-01")).suspended == ()
    assert world.look("0001", at("2027-01-01")).unpaid_bills == 2
    version = directory_version(world)
    assert world.close(at("2027-02-01")).suspended == ("0001",)
    view = world.look("0001", at("2027-02-01"))
    assert (view.account.state, view.unpaid_bills) == ("suspended", 3)
    assert view.account.directory_version > version
    assert world.states("0001") == [
        ("active", at("2026-11-01"), at("2027-02-01"), ""),
        ("suspended", at("2027-02-01"), None, "unpaid_bills"),
    ]


def test_a_suspended_account_is_billed_on_without_a_fee_and_not_suspended_twice(
    world_with_account: BillingWorld,
) -> None:
    world = world_with_account
    world.close(at("2027-02-01"))
    closing = world.close(at("2027-04-01"))
    assert len(closing.bills) == 2
    assert closing.suspended == ()
    assert [bill["total"] for bill in world.documents("0001")] == ["10.00", "10.00", "10.00", "0.00", "0.00"]
    # Nothing is due on a bill of zero: it counts as paid.
    assert world.look("0001", at("2027-04-01")).unpaid_bills == 3
    assert [state for _, state in bill_states(world)] == ["closed"] * 3 + ["paid"] * 2
    world.check_books()


def test_a_payment_settles_the_oldest_bill_and_reactivates_at_once(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2027-02-01"))
    version = directory_version(world)
    receipt = world.pay("0001", "10.00", at("2027-02-11"))
    assert receipt.settled == ("2026-000001",) or receipt.settled == ("2027-000001",)
    assert receipt.reactivated
    view = world.look("0001", at("2027-02-11"))
    assert (view.account.state, view.unpaid_bills, view.balance) == (
        "active",
        2,
        Money.parse("-20").to_decimal(),
    )
    assert view.account.directory_version > version
    world.close(at("2027-03-01"))
    # Ten of February's twenty-eight days were suspended.
    assert world.documents("0001")[-1]["total"] == "6.43"
    assert world.look("0001", at("2027-03-01")).account.state == "suspended"
    world.check_books()


def test_part_of_a_bill_is_not_enough_to_call_again(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2027-02-01"))
    receipt = world.pay("0001", "9.99", at("2027-02-02"))
    assert (receipt.settled, receipt.reactivated) == ((), False)
    assert world.look("0001", at("2027-02-02")).account.state == "suspended"
    receipt = world.pay("0001", "0.01", at("2027-02-03"))
    assert receipt.reactivated
    assert len(receipt.settled) == 1


def test_a_payment_can_name_its_bill(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2026-12-01"))
    world.close(at("2027-01-01"))
    receipt = world.pay("0001", "12.00", at("2027-01-02"), bill="2027-000001")
    assert receipt.settled == ("2027-000001",)
    assert bill_states(world) == [("2026-000001", "closed"), ("2027-000001", "paid")]
    assert world.pay("0001", "8.00", at("2027-01-03")).settled == ("2026-000001",)
    world.check_books()


def test_what_is_left_over_is_credit_and_pays_the_next_bill(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2026-12-01"))
    assert world.pay("0001", "25.00", at("2026-12-02")).settled == ("2026-000001",)
    assert world.look("0001", at("2026-12-02")).balance == Money.parse("15").to_decimal()
    world.close(at("2027-02-01"))
    assert [state for _, state in bill_states(world)] == ["paid", "paid", "closed"]
    assert world.look("0001", at("2027-02-01")).balance == Money.parse("-5").to_decimal()
    assert world.pay("0001", "5.00", at("2027-02-02")).settled == ("2027-000002",)
    world.check_books()


def test_a_payment_before_any_bill_is_credit(world_with_account: BillingWorld) -> None:
    world = world_with_account
    assert world.pay("0001", "10.00", at("2026-11-02")).settled == ()
    world.close(at("2026-12-01"))
    assert bill_states(world) == [("2026-000001", "paid")]


def test_a_payment_does_not_undo_an_administrators_suspension(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2026-12-01"))
    world.database.run_blocking(
        lambda session: suspend_account(session, "0001", actor=ACTOR, at=at("2026-12-02"))
    )
    receipt = world.pay("0001", "10.00", at("2026-12-03"))
    assert receipt.settled == ("2026-000001",)
    assert not receipt.reactivated
    assert world.look("0001", at("2026-12-03")).account.state == "suspended"


def test_an_account_that_an_administrator_let_call_is_suspended_again_by_the_next_unpaid_bill(
    world_with_account: BillingWorld,
) -> None:
    world = world_with_account
    world.close(at("2027-02-01"))
    world.database.run_blocking(
        lambda session: reactivate_account(session, "0001", actor=ACTOR, at=at("2027-02-01"))
    )
    assert world.close(at("2027-03-01")).suspended == ("0001",)


def test_the_limit_is_the_administrators(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.database.run_blocking(
        lambda session: session.execute(text("UPDATE system_settings SET unpaid_bill_limit = 1"))
    )
    assert world.close(at("2026-12-01")).suspended == ("0001",)


@pytest.mark.parametrize(
    ("account", "amount", "bill", "field"),
    [
        ("0001", "0", None, "amount"),
        ("0001", "-5", None, "amount"),
        ("0001", "1.005", None, "amount"),
        ("0009", "5", None, "account"),
        ("0001", "5", "2026-000009", "bill"),
        ("0002", "5", "2026-000001", "bill"),
    ],
)
def test_a_payment_that_makes_no_sense_is_refused_and_leaves_no_trace(
    world_with_account: BillingWorld, account: str, amount: str, bill: str | None, field: str
) -> None:
    world = world_with_account
    world.account("0002", world.plan("Other", "10.00"), at("2026-11-20"))
    world.close(at("2026-12-01"))
    with pytest.raises(InvalidFields) as error:
        world.pay(account, amount, at("2026-12-02"), bill=bill)
    assert [problem.field for problem in error.value.problems] == [field]
    assert world.look("0001", at("2026-12-02")).balance == Money.parse("-10").to_decimal()


def test_a_bill_is_not_paid_twice(world_with_account: BillingWorld) -> None:
    world = world_with_account
    world.close(at("2026-12-01"))
    world.pay("0001", "10.00", at("2026-12-02"), bill="2026-000001")
    with pytest.raises(Conflict):
        world.pay("0001", "10.00", at("2026-12-02"), bill="2026-000001")

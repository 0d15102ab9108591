"""Payments, credits and refunds; and the books after whatever administrators do in whatever order."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from billing_service.domain.errors import InvalidFields
from billing_service.errors import Conflict
from billing_service.storage.tables import Bill
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.statement import account_statement
from tests.scenario.billing_world import BillingWorld, at
from tests.support.database import empty
from tests.support.examples import examples


@pytest.fixture
def billed(world: BillingWorld) -> BillingWorld:
    """Account 0001 with an unpaid bill of 10.00."""
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    world.close(at("2026-12-01"))
    return world


def test_a_credit_pays_bills_as_money_does_and_reactivates(billed: BillingWorld) -> None:
    billed.close(at("2027-02-01"))
    receipt = billed.credit("0001", "10.00", at("2027-02-02"))
    assert (receipt.settled, receipt.reactivated) == (("2026-000001",), True)
    billed.check_books()


def test_a_credit_may_name_its_bill(billed: BillingWorld) -> None:
    billed.close(at("2027-01-01"))
    assert billed.credit("0001", "10.00", at("2027-01-02"), bill="2027-000001").settled == ("2027-000001",)


def test_only_what_no_bill_needs_can_be_refunded(billed: BillingWorld) -> None:
    with pytest.raises(Conflict, match=r"^0\.00 USD was paid"):
        billed.refund("0001", "0.01", at("2026-12-02"))
    billed.pay("0001", "15.00", at("2026-12-02"))
    with pytest.raises(Conflict, match=r"^5\.00 USD was paid"):
        billed.refund("0001", "5.01", at("2026-12-03"))
    assert billed.refund("0001", "3.00", at("2026-12-03")).credit_left.micros == 2_000_000
    assert billed.look("0001", at("2026-12-04")).balance == 2
    billed.close(at("2027-01-01"))
    assert billed.bill("2027-000001")["amount_due"] == "8.00"
    billed.check_books()


def test_a_credit_never_becomes_cash(billed: BillingWorld) -> None:
    billed.credit("0001", "25.00", at("2026-12-02"))
    with pytest.raises(Conflict, match=r"^0\.00 USD was paid"):
        billed.refund("0001", "0.01", at("2026-12-02"))
    # Nor when the bill is void that it has paid.
    billed.void("2026-000001", at("2026-12-03"))
    with pytest.raises(Conflict, match=r"^0\.00 USD was paid"):
        billed.refund("0001", "0.01", at("2026-12-03"))
    billed.pay("0001", "3.00", at("2026-12-04"))
    assert billed.refund("0001", "3.00", at("2026-12-05")).credit_left.micros == 25_000_000
    billed.check_books()


def test_what_a_void_bill_was_paid_with_can_be_refunded(billed: BillingWorld) -> None:
    billed.pay("0001", "10.00", at("2026-12-02"))
    billed.void("2026-000001", at("2026-12-03"))
    assert billed.refund("0001", "10.00", at("2026-12-04")).credit_left.micros == 0
    billed.check_books()


@pytest.mark.parametrize("amount", ["0", "-1", "0.001"])
def test_amounts_that_cannot_change_hands_are_refused(billed: BillingWorld, amount: str) -> None:
    for move in (billed.pay, billed.credit, billed.refund):
        with pytest.raises(InvalidFields):
            move("0001", amount, at("2026-12-02"))


def test_a_statement_carries_the_balance_from_day_to_day(billed: BillingWorld) -> None:
    billed.credit("0001", "4.00", at("2026-12-10T12:00"))
    billed.pay("0001", "9.00", at("2026-12-31T23:59"))
    billed.refund("0001", "3.00", at("2027-01-01"))

    def statement(first: str, last: str) -> tuple[str, list[tuple[str, str]], str]:
        found = billed.database.run_blocking(
            lambda session: account_statement(
                session,
                "0001",
                first_day=at(first).date(),
                last_day=at(last).date(),
                zone=billed.zone,
            )
        )
        entries = [(one.entry.kind, f"{one.balance.to_decimal():.2f}") for one in found.entries]
        opening, closing = (
            f"{amount.to_decimal():.2f}" for amount in (found.opening_balance, found.closing_balance)
        )
        return opening, entries, closing

    december = statement("2026-12-01", "2026-12-31")
    assert december == (
        "0.00",
        [("charge", "-10.00"), ("credit", "-6.00"), ("payment", "3.00")],
        "3.00",
    )
    assert statement("2027-01-01", "2027-01-31") == ("3.00", [("refund", "0.00")], "0.00")
    assert statement("2026-12-11", "2026-12-30") == ("-6.00", [], "-6.00")


def test_the_books_balance_however_many_work_on_them_at_once(billed: BillingWorld) -> None:
    billed.close(at("2027-03-01"))
    numbers = ["2026-000001", "2027-000001", "2027-000002", "2027-000003"]

    def work(worker: int) -> None:
        for step in range(8):
            when = at("2027-03-01") + timedelta(minutes=10 * step + worker)
            kind = ("pay", "void", "credit", "reclose", "refund")[(step + worker) % 5]
            with contextlib.suppress(Conflict, InvalidFields):
                if kind in ("void", "reclose"):
                    getattr(billed, kind)(numbers[(step * worker) % 4], when)
                else:
                    getattr(billed, kind)("0001", f"{3 + step + worker}.50", when)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    billed.close(at("2027-05-01"))
    billed.check_books()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.integers(1, 4_000)),
        st.tuples(st.just("credit"), st.integers(1, 2_000)),
        st.tuples(st.just("refund"), st.integers(1, 3_000)),
        st.tuples(st.just("void"), st.integers(0, 11)),
        st.tuples(st.just("reclose"), st.integers(0, 11)),
        st.tuples(st.just("late call"), st.integers(1, 60)),
        st.tuples(st.just("close"), st.integers(1, 3)),
    ),
    min_size=5,
    max_size=20,
)


@given(steps)
@settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_books_balance_after_every_step_of_a_year(
    database: Database, steps_taken: list[tuple[str, int]]
) -> None:
    empty(database.engine.url)
    world = BillingWorld(database)
    world.account("0001", world.plan("Plan", "10.00"), at("2026-01-01"))
    now = at("2026-02-01")
    world.close(now)
    for kind, amount in steps_taken:
        now += timedelta(hours=7)
        # What can't be done must leave no trace, which the books show.
        with contextlib.suppress(Conflict, InvalidFields):
            _step(world, kind, amount, now)
        if kind == "close":
            now += timedelta(days=31 * amount)
            world.close(now)
        world.check_books()


def _step(world: BillingWorld, kind: str, amount: int, when: datetime) -> None:
    cents = f"{amount / 100:.2f}"
    numbers = world.database.run_blocking(
        lambda session: list(session.scalars(select(Bill.number).order_by(Bill.id)))
    )
    match kind:
        case "pay":
            world.pay("0001", cents, when)
        case "credit":
            world.credit("0001", cents, when)
        case "refund":
            world.refund("0001", cents, when)
        case "void":
            world.void(numbers[amount % len(numbers)], when)
        case "reclose":
            world.reclose(numbers[amount % len(numbers)], when)
        case "late call":
            world.call("0001", at("2026-01-20T12:00"), amount)

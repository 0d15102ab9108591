"""Closing twice, from two places at once, or with an accident in the middle: nothing lost, nothing double."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_service.domain.money import Money
from billing_service.storage.tables import Bill, BillRevision, Call, LedgerEntry, PhoneAccount
from billing_service.use_cases.close_bills import (
    ClosedBill,
    UnableToCloseBills,
    close_due,
    close_next_period,
)
from billing_service.use_cases.edit_account import close_account
from billing_service.use_cases.record_payment import Payment, record_payment
from tests.scenario.billing_world import ACTOR, USD, BillingWorld, at

FIVE = Money.parse("5.00")
NUMBERS = [f"{number:04d}" for number in range(1, 9)]


@pytest.fixture
def busy_world(world: BillingWorld) -> BillingWorld:
    """Eight accounts with five calls in each of two months."""
    plan = world.plan("Plan", "10.00")
    for number in NUMBERS:
        world.account(number, plan, at("2026-11-01"))
    world.deliver(
        *(
            world.record_of(number, at(f"2026-{month}-{day:02d}T12:00"))
            for number in NUMBERS
            for month in (11, 12)
            for day in range(1, 6)
        )
    )
    return world


def counts(world: BillingWorld) -> dict[str, int]:
    def work(session: Session) -> dict[str, int]:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Bill, BillRevision, LedgerEntry)
        }

    return world.database.run_blocking(work)


def check_complete(world: BillingWorld) -> None:
    """Every account has its two bills of 10.50, with each call on exactly one."""
    for number in NUMBERS:
        documents = world.documents(number)
        assert [bill["total"] for bill in documents] == ["10.50", "10.50"]
        assert [len(bill["calls"]) for bill in documents] == [5, 5]
    on_bills = Counter(
        call["record_id"] for number in NUMBERS for bill in world.documents(number) for call in bill["calls"]
    )
    assert set(on_bills.values()) == {1}
    assert len(on_bills) == 10 * len(NUMBERS)
    unbilled = world.database.run_blocking(
        lambda session: session.scalar(select(func.count()).select_from(Call).where(Call.bill_id.is_(None)))
    )
    assert unbilled == 0
    world.check_books()


def test_closing_twice_does_nothing_the_second_time(busy_world: BillingWorld) -> None:
    first = busy_world.close(at("2027-01-01"))
    assert len(first.bills) == 2 * len(NUMBERS)
    before = counts(busy_world)
    assert busy_world.close(at("2027-01-01")).bills == ()
    assert counts(busy_world) == before
    check_complete(busy_world)


def test_four_closers_at_once_close_everything_once(busy_world: BillingWorld) -> None:
    barrier = threading.Barrier(4)

    def closer() -> tuple[str, ...]:
        barrier.wait(timeout=30)
        return busy_world.close(at("2027-01-01")).bills

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(closer) for _ in range(4)]
        closed = [number for future in futures for number in future.result(timeout=60)]
    assert len(closed) == len(set(closed)) == 2 * len(NUMBERS)
    check_complete(busy_world)


def test_a_closer_waits_for_the_account_that_another_one_holds(busy_world: BillingWorld) -> None:
    """When a closing returns, nothing is left due, even what another closer was at work on."""
    held, release = threading.Event(), threading.Event()

    def slow_closer(session: Session) -> str | None:
        account_id = session.scalar(select(PhoneAccount.id).where(PhoneAccount.number == "0001"))
        assert account_id is not None
        closed = close_next_period(
            session, account_id, as_of=at("2027-01-01"), wait=True, currency=USD, zone=busy_world.zone
        )
        held.set()
        assert release.wait(timeout=30)
        return closed and closed.number

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(busy_world.database.run_blocking, slow_closer)
        assert held.wait(timeout=30)
        other = pool.submit(busy_world.close, at("2027-01-01"))
        wait_until_somebody_waits_for_a_lock(busy_world)
        release.set()
        numbers = [slow.result(timeout=60), *other.result(timeout=60).bills]
    assert len(numbers) == len(set(numbers)) == 2 * len(NUMBERS)
    check_complete(busy_world)


def test_a_late_call_of_a_closed_account_is_billed_once_by_two_closers(busy_world: BillingWorld) -> None:
    """The second closer waits for the first one's lock, and must then see that nothing is left."""
    world = busy_world
    world.database.run_blocking(
        lambda session: close_account(session, "0001", actor=ACTOR, at=at("2026-12-31"))
    )
    world.close(at("2027-01-01"))
    world.call("0001", at("2026-12-15T12:00"))
    held, release = threading.Event(), threading.Event()

    def close_one(session: Session) -> ClosedBill | None:
        account_id = session.scalar(select(PhoneAccount.id).where(PhoneAccount.number == "0001"))
        assert account_id is not None
        return close_next_period(
            session, account_id, as_of=at("2027-03-01"), wait=True, currency=USD, zone=world.zone
        )

    def close_slowly(session: Session) -> ClosedBill | None:
        closed = close_one(session)
        held.set()
        assert release.wait(timeout=30)
        return closed

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(world.database.run_blocking, close_slowly)
        assert held.wait(timeout=30)
        other = pool.submit(world.database.run_blocking, close_one)
        wait_until_somebody_waits_for_a_lock(world)
        release.set()
        assert slow.result(timeout=60) is not None
        assert other.result(timeout=60) is None
    assert [len(bill["calls"]) for bill in world.documents("0001")] == [5, 5, 1]
    world.check_books()


def wait_until_somebody_waits_for_a_lock(world: BillingWorld) -> None:
    deadline = time.monotonic() + 30
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while not world.database.run_blocking(lambda session: session.scalar(waiting)):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


class Accident(Exception):
    """The process dies here."""


@contextmanager
def accident_at(world: BillingWorld, table: type[Any], *, write: int) -> Iterator[None]:
    """Raise at the n-th statement that writes to a table."""
    seen = 0

    def watch(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        if statement.startswith((f"INSERT INTO {table.__tablename__} ", f"UPDATE {table.__tablename__} ")):
            seen += 1
            if seen == write:
                raise Accident

    event.listen(world.database.engine, "before_cursor_execute", watch)
    try:
        with capture_logs() as logs:
            yield
    finally:
        event.remove(world.database.engine, "before_cursor_execute", watch)
    assert seen >= write, "the accident must have happened"
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["bill_not_closed"]


@pytest.mark.parametrize("table", [Bill, BillRevision, LedgerEntry, PhoneAccount])
def test_an_accident_in_the_middle_of_a_bill_leaves_it_to_the_next_closing(
    busy_world: BillingWorld, table: type[Any]
) -> None:
    """Before each kind of row is written for the fifth bill, everything of that bill is undone."""
    with accident_at(busy_world, table, write=5), pytest.raises(UnableToCloseBills):
        busy_world.close(at("2027-01-01"))
    assert counts(busy_world)["bills"] == counts(busy_world)["bill_revisions"] < 2 * len(NUMBERS)
    busy_world.check_books()
    busy_world.close(at("2027-01-01"))
    check_complete(busy_world)


def test_the_trouble_of_one_account_keeps_no_other_from_its_bill(busy_world: BillingWorld) -> None:
    with accident_at(busy_world, Bill, write=3), pytest.raises(UnableToCloseBills) as error:
        busy_world.close(at("2027-01-01"))
    assert len(error.value.accounts) == 1
    assert counts(busy_world)["bills"] >= 2 * len(NUMBERS) - 2


def test_a_closing_that_is_told_to_stop_leaves_the_rest_due(busy_world: BillingWorld) -> None:
    answers = iter([False, False, True])
    closing = close_due(
        busy_world.database,
        as_of=at("2027-01-01"),
        currency=USD,
        zone=busy_world.zone,
        should_stop=lambda: next(answers, True),
    )
    assert len(closing.bills) == 4
    busy_world.close(at("2027-01-01"))
    check_complete(busy_world)


def test_a_record_that_arrives_during_the_closing_is_on_the_next_bill(busy_world: BillingWorld) -> None:
    """The closing has read the calls, but not committed, when another one comes in."""

    def close_slowly(session: Session) -> None:
        account_id = session.scalar(select(PhoneAccount.id).where(PhoneAccount.number == "0001"))
        assert account_id is not None
        with ThreadPoolExecutor(1) as pool:

            def intake(*_: object) -> None:
                pool.submit(busy_world.call, "0001", at("2026-11-20T12:00"), 3).result(timeout=30)

            event.listen(session, "before_flush", intake, once=True)
            close_next_period(
                session, account_id, as_of=at("2026-12-01"), wait=True, currency=USD, zone=busy_world.zone
            )

    busy_world.database.run_blocking(close_slowly)
    assert [len(bill["calls"]) for bill in busy_world.documents("0001")] == [5]
    busy_world.close(at("2027-01-01"))
    november, december = busy_world.documents("0001")
    assert [line["kind"] for line in december["lines"]] == ["fee", "calls", "late_calls"]
    assert len(november["calls"]) + len(december["calls"]) == 11
    busy_world.check_books()


def test_two_payments_at_once_spend_their_money_once(busy_world: BillingWorld) -> None:
    busy_world.close(at("2027-01-01"))
    barrier = threading.Barrier(4)

    def pay() -> tuple[str, ...]:
        barrier.wait(timeout=30)
        payment = Payment("0001", FIVE, None, "", ACTOR)
        return busy_world.database.run_blocking(
            lambda session: record_payment(session, payment, at=at("2027-01-02"), currency=USD)
        ).settled

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(pay) for _ in range(4)]
        settled = [number for future in futures for number in future.result(timeout=60)]
    assert len(settled) == 1
    busy_world.check_books()

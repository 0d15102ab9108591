"""Closing twice, from two places at once, or with an accident in the middle: nothing lost, nothing double."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_service.domain.money import Money
from billing_service.storage.billed_calls import holder_of_call
from billing_service.storage.tables import (
    Bill,
    BillRevision,
    Call,
    ClosingFailure,
    ClosingRun,
    LedgerEntry,
    PhoneAccount,
)
from billing_service.use_cases.close_bills import (
    ClosedBill,
    Closing,
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
        lambda session: session.scalar(
            select(func.count()).select_from(Call).where(holder_of_call().is_(None))
        )
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


def somebody_waits_for_a_lock(world: BillingWorld) -> bool:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(world.database.run_blocking(lambda session: session.scalar(waiting)))


def wait_until_somebody_waits_for_a_lock(world: BillingWorld) -> None:
    deadline = time.monotonic() + 30
    while not somebody_waits_for_a_lock(world):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


@contextmanager
def trouble_with(world: BillingWorld, table: type[Any], number: str) -> Iterator[None]:
    """Let PostgreSQL refuse what is written into a table for one account."""
    name = table.__tablename__
    account = {
        "bill_revisions": "(SELECT account_id FROM bills WHERE id = NEW.bill_id)",
        "phone_accounts": "NEW.id",
    }.get(name, "NEW.account_id")
    world.database.run_blocking(
        lambda session: session.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF {account} = (SELECT id FROM phone_accounts WHERE number = '{number}')"
                " THEN RAISE EXCEPTION 'an accident'; END IF; RETURN NEW; END $$;"
                f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {name}"
                " FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )
    )
    try:
        with capture_logs() as logs:
            yield
    finally:
        world.database.run_blocking(
            lambda session: session.execute(text(f"DROP TRIGGER refuse ON {name}; DROP FUNCTION refuse()"))
        )
    errors = [(entry["event"], entry["number"]) for entry in logs if entry["log_level"] == "error"]
    assert set(errors) == {("bill_not_closed", number)}


@pytest.mark.parametrize("table", [Bill, BillRevision, LedgerEntry, PhoneAccount])
def test_the_trouble_of_one_account_keeps_no_other_from_its_bill(
    busy_world: BillingWorld, table: type[Any]
) -> None:
    """Whatever it is that can't be written, nothing of that account's bill is; the next closing makes it."""
    with trouble_with(busy_world, table, "0003"), pytest.raises(UnableToCloseBills) as error:
        busy_world.close(at("2027-01-01"))
    assert error.value.accounts == ["0003"]
    assert counts(busy_world)["bills"] == counts(busy_world)["bill_revisions"] == 2 * (len(NUMBERS) - 1)
    busy_world.check_books()
    run = last_run(busy_world)
    assert (run.due, run.closed, run.failed) == (8, 14, 1)
    assert run.finished_at is not None
    failure = busy_world.database.run_blocking(lambda session: session.scalars(select(ClosingFailure)).one())
    assert "an accident" in failure.reason
    busy_world.close(at("2027-01-01"))
    check_complete(busy_world)
    run = last_run(busy_world)
    assert (run.due, run.closed, run.failed) == (1, 2, 0)


def test_an_account_beside_one_with_trouble_is_waited_for(busy_world: BillingWorld) -> None:
    """Both are held by others when the closing begins, and the sound one again when it is closed alone."""
    holders: list[Future[None]] = []
    over = threading.Event()

    def hold(numbers: list[str], held: threading.Event) -> None:
        def work(session: Session) -> None:
            accounts = select(PhoneAccount).where(PhoneAccount.number.in_(numbers)).with_for_update()
            assert len(session.scalars(accounts).all()) == len(numbers)
            held.set()
            while not over.wait(0.01) and not somebody_waits_for_a_lock(busy_world):
                pass

        busy_world.database.run_blocking(work)

    def hold_now(*numbers: str) -> None:
        held = threading.Event()
        holders.append(pool.submit(hold, list(numbers), held))
        assert held.wait(timeout=30)

    def hold_again(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO closing_failures" in statement:
            hold_now("0005")

    with ThreadPoolExecutor(2) as pool, trouble_with(busy_world, Bill, "0003"):
        hold_now("0003", "0005")
        event.listen(busy_world.database.engine, "before_cursor_execute", hold_again)
        with pytest.raises(UnableToCloseBills):
            busy_world.close(at("2027-01-01"))
        event.remove(busy_world.database.engine, "before_cursor_execute", hold_again)
        over.set()
        for holder in holders:
            holder.result(timeout=30)
    assert len(holders) == 2
    assert [len(busy_world.documents(number)) for number in ("0003", "0005")] == [0, 2]


def last_run(world: BillingWorld) -> ClosingRun:
    newest = select(ClosingRun).order_by(ClosingRun.id.desc()).limit(1)
    return world.database.run_blocking(lambda session: session.scalars(newest).one())


def test_a_closing_that_is_told_to_stop_leaves_the_rest_due(busy_world: BillingWorld) -> None:
    answers = iter([False, False])
    closing = close_due(
        busy_world.database,
        as_of=at("2027-01-01"),
        currency=USD,
        zone=busy_world.zone,
        should_stop=lambda: next(answers, True),
        at_once=3,
    )
    assert len(closing.bills) == 6
    assert last_run(busy_world).finished_at is None
    busy_world.close(at("2027-01-01"))
    check_complete(busy_world)


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_bills_are_the_same_however_many_are_closed_at_once(busy_world: BillingWorld, at_once: int) -> None:
    closing = close_due(
        busy_world.database, as_of=at("2027-01-01"), currency=USD, zone=busy_world.zone, at_once=at_once
    )
    assert closing.bills == tuple(f"2027-{number:06d}" for number in range(1, 2 * len(NUMBERS) + 1))
    check_complete(busy_world)


def test_a_record_that_arrives_during_the_closing_is_on_the_next_bill(busy_world: BillingWorld) -> None:
    """The closing has read the calls, but not committed, when another one comes in: that one waits."""

    arriving: list[Future[str]] = []

    def intake(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO bills ") and not arriving:
            arriving.append(pool.submit(busy_world.call, "0001", at("2026-11-20T12:00"), 3))
            wait_until_somebody_waits_for_a_lock(busy_world)

    event.listen(busy_world.database.engine, "before_cursor_execute", intake)
    with ThreadPoolExecutor(1) as pool:
        busy_world.close(at("2026-12-01"))
        event.remove(busy_world.database.engine, "before_cursor_execute", intake)
        arriving[0].result(timeout=30)
    assert [len(bill["calls"]) for bill in busy_world.documents("0001")] == [5]
    busy_world.close(at("2027-01-01"))
    november, december = busy_world.documents("0001")
    assert [line["kind"] for line in december["lines"]] == ["fee", "calls", "late_calls"]
    assert len(november["calls"]) + len(december["calls"]) == 11
    busy_world.check_books()


def test_a_closing_waits_for_the_records_that_are_being_stored(busy_world: BillingWorld) -> None:
    """The intake has seen that the period is open, but not committed: its call is on that period's bill."""
    closing: list[Future[Closing]] = []

    def close(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO call_record_receipts" in statement and not closing:
            closing.append(pool.submit(busy_world.close, at("2026-12-01")))
            wait_until_somebody_waits_for_a_lock(busy_world)

    event.listen(busy_world.database.engine, "before_cursor_execute", close)
    with ThreadPoolExecutor(1) as pool:
        busy_world.call("0001", at("2026-11-20T12:00"), 3)
        event.remove(busy_world.database.engine, "before_cursor_execute", close)
        closing[0].result(timeout=30)
    assert [len(bill["calls"]) for bill in busy_world.documents("0001")] == [6]
    assert [call["late"] for call in busy_world.documents("0001")[0]["calls"]] == [False] * 6
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

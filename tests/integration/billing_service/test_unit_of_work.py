"""Units of work: whole or not at all, repeated when that is safe, and clear when the database is away."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import URL, select, text
from sqlalchemy.orm import Session

from billing_service.errors import BillingServiceError
from billing_service.storage.tables import Customer
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable


def add(session: Session, name: str) -> None:
    session.add(Customer(name=name))


def names(database: Database) -> list[str]:
    return database.run_blocking(
        lambda session: list(session.scalars(select(Customer.name).order_by(Customer.name)))
    )


def break_connection(session: Session, database: Database) -> None:
    """Let the server end the session's connection, as a restart does."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with database.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_work_that_returns_is_committed(database: Database) -> None:
    database.run_blocking(lambda session: add(session, "Alice"))
    assert names(database) == ["Alice"]


def test_work_that_raises_leaves_nothing(database: Database) -> None:
    def work(session: Session) -> None:
        add(session, "Alice")
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.run_blocking(work)
    assert names(database) == []


def test_work_whose_connection_breaks_before_the_commit_is_done_again_once(database: Database) -> None:
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "Alice")
        session.flush()
        if len(attempts) == 1:
            break_connection(session, database)
            session.execute(text("SELECT 1"))

    database.run_blocking(work)
    assert len(attempts) == 2
    assert names(database) == ["Alice"]


def test_a_connection_that_breaks_while_idle_is_not_noticed(database: Database) -> None:
    database.run_blocking(lambda session: add(session, "Alice"))
    with database.engine.connect() as other:
        own = other.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> :own"
            ),
            {"own": own},
        )
    assert names(database) == ["Alice"]


def test_a_connection_that_breaks_at_the_commit_is_never_done_again(database: Database) -> None:
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "Alice")
        session.flush()
        break_connection(session, database)

    with pytest.raises(DatabaseUnavailable) as failed:
        database.run_blocking(work)
    assert failed.value.maybe_done
    assert len(attempts) == 1


def test_a_deadlock_is_resolved_by_doing_the_victims_work_again(database: Database) -> None:
    for name in ("Alice", "Bob"):
        database.run_blocking(lambda session, name=name: add(session, name))
    first_locks = threading.Barrier(2)
    attempts: list[str] = []

    def swap(first: str, second: str) -> None:
        def work(session: Session) -> None:
            attempts.append(first)
            lock = select(Customer).with_for_update()
            session.scalars(lock.where(Customer.name == first)).one()
            if len(attempts) <= 2:
                first_locks.wait(10)
            session.scalars(lock.where(Customer.name == second)).one().address = f"edited after {first}"

        database.run_blocking(work)

    threads = [threading.Thread(target=swap, args=pair) for pair in (("Alice", "Bob"), ("Bob", "Alice"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(attempts) == 3
    addresses = database.run_blocking(
        lambda session: dict(session.execute(select(Customer.name, Customer.address)).all())
    )
    assert addresses == {"Alice": "edited after Bob", "Bob": "edited after Alice"}


def test_a_serialization_failure_is_done_again(database: Database) -> None:
    database.run_blocking(lambda session: add(session, "Alice"))
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        customer = session.scalars(select(Customer)).one()
        if len(attempts) == 1:
            database.run_blocking(lambda other: other.execute(text("UPDATE customers SET email = 'a@b'")))
        customer.address = "Road 1"

    database.run_blocking(work, one_snapshot=True)
    assert len(attempts) == 2
    assert database.run_blocking(
        lambda session: session.execute(select(Customer.email, Customer.address)).one()
    ) == ("a@b", "Road 1")


def test_one_snapshot_does_not_see_what_is_committed_meanwhile(database: Database) -> None:
    def work(session: Session) -> tuple[int, int]:
        before = len(session.scalars(select(Customer)).all())
        database.run_blocking(lambda other: add(other, "Alice"))
        return before, len(session.scalars(select(Customer)).all())

    assert database.run_blocking(work, one_snapshot=True) == (0, 0)
    assert names(database) == ["Alice"]


def test_a_mistake_of_the_work_is_not_repeated(database: Database) -> None:
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        session.execute(text("SELECT 1 / 0"))

    with pytest.raises(Exception, match="division by zero"):
        database.run_blocking(work)
    assert len(attempts) == 1


def test_a_database_that_is_away_is_told_at_once(database_url: URL) -> None:
    away = Database.at(database_url.set(query={"host": "/nonexistent"}), threads=1)
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="the database is away"):
        away.run_blocking(lambda session: add(session, "Alice"))
    assert time.monotonic() - started < 10
    away.close()


async def test_work_runs_beside_the_event_loop(database: Database) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    await database.run(lambda session: session.execute(text("SELECT pg_sleep(0.3)")))
    heart.cancel()
    assert beats >= 5


async def test_no_more_work_runs_at_once_than_there_are_threads(database: Database) -> None:
    most = await asyncio.gather(
        *(
            database.run(
                lambda session: (
                    session.execute(
                        text(
                            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                            "AND state = 'active'"
                        )
                    ).scalar_one(),
                    session.execute(text("SELECT pg_sleep(0.05)")),
                )[0]
            )
            for _ in range(20)
        )
    )
    assert max(most) <= 4


def test_errors_of_the_storage_are_errors_of_the_service() -> None:
    assert issubclass(DatabaseUnavailable, BillingServiceError)

"""Calls lie in partitions by month, which appear as calls come, whoever brings them first."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic import command
from sqlalchemy import URL, text
from sqlalchemy.orm import Session

from billing_service.storage.call_partitions import (
    CallPartition,
    ensure_coming_partitions,
    ensure_partitions,
)
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import configuration
from billing_service.storage.unit_of_work import Database
from tests.scenario.billing_world import BillingWorld, at

PARTITIONS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'calls'::regclass ORDER BY 1"
)


@pytest.fixture
def world(database: Database) -> BillingWorld:
    return BillingWorld(database)


def partitions(database: Database) -> list[str]:
    return database.run_blocking(lambda session: list(session.scalars(PARTITIONS)))


@pytest.mark.parametrize(
    ("instant", "name", "first", "beyond"),
    [
        ("2026-11-30T23:59:59+00:00", "calls_2026_11", "2026-11-01", "2026-12-01"),
        ("2026-12-01T00:30:00+01:00", "calls_2026_11", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59+00:00", "calls_2026_12", "2026-12-01", "2027-01-01"),
        ("2020-01-01T00:00:00+00:00", "calls_2020_01", "2020-01-01", "2020-02-01"),
        ("2019-12-31T23:59:59+00:00", "calls_2019", "2019-01-01", "2020-01-01"),
        ("2000-01-01T00:00:00+00:00", "calls_2000", "2000-01-01", "2001-01-01"),
    ],
)
def test_a_call_has_one_partition_by_its_utc_month(instant: str, name: str, first: str, beyond: str) -> None:
    partition = CallPartition.of(datetime.fromisoformat(instant))
    assert partition.name == name
    assert partition.bounds == (at(first), at(beyond))
    assert partition.bounds[0] <= datetime.fromisoformat(instant) < partition.bounds[1]


def test_partitions_come_with_the_first_calls_of_their_months(world: BillingWorld) -> None:
    world.account("0001", world.plan("Plan", "10.00"), at("2017-01-01"))
    for day in ("2017-03-01", "2017-11-01", "2026-11-30", "2026-12-01", "2026-12-02"):
        world.call("0001", at(day))
    assert partitions(world.database) == ["calls_2017", "calls_2026_11", "calls_2026_12"]


def test_the_coming_month_has_its_partition_before_its_first_call(database: Database) -> None:
    database.run_blocking(lambda session: ensure_coming_partitions(session, at("2026-12-31T23:00")))
    assert partitions(database) == ["calls_2026_12", "calls_2027_01"]


def test_two_that_need_the_same_partition_at_once_both_get_it(database: Database) -> None:
    barrier = threading.Barrier(4)
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in (3, 1, 2)]

    def work(session: Session) -> None:
        barrier.wait(timeout=30)
        ensure_partitions(session, months)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(database.run_blocking, work) for _ in range(4)]:
            future.result(timeout=60)
    assert partitions(database) == ["calls_2026_01", "calls_2026_02", "calls_2026_03"]


def test_migrating_takes_the_calls_along_both_ways(fresh_database_url: URL) -> None:
    database = Database.at(fresh_database_url, threads=1)
    world = BillingWorld(database)
    world.account("0001", world.plan("Plan", "10.00"), at("2018-01-01"))
    for day in ("2018-03-01", "2026-11-30", "2026-12-01"):
        world.call("0001", at(day))
    stored = text("SELECT to_jsonb(calls) FROM calls ORDER BY invited_at")
    before = database.run_blocking(lambda session: list(session.scalars(stored)))
    facts = [{name: value for name, value in call.items() if name != "billable_at"} for call in before]
    made = partitions(database)
    engine = make_engine(fresh_database_url, connections=1)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert connection.scalar(text("SELECT relkind FROM pg_class WHERE relname = 'calls'")) == "r"
        earlier = list(connection.scalars(stored))
        assert [{**call, **one} for call, one in zip(earlier, facts, strict=True)] == earlier
        command.upgrade(config, "head")
    engine.dispose()
    assert partitions(database) == made == ["calls_2018", "calls_2026_11", "calls_2026_12"]
    assert database.run_blocking(lambda session: list(session.scalars(stored))) == before
    database.close()

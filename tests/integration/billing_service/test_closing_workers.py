"""A closing that is much work is shared by processes; the one that started them closes what they leave."""

import os
from pathlib import Path

import pytest
from sqlalchemy import URL, select

from billing_service.jobs.closing_workers import close_beside_workers, close_with_workers
from billing_service.storage.tables import ClosingRun
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.close_bills import Closing
from tests.scenario.billing_world import USD, BillingWorld, at

NUMBERS = [f"{number:04d}" for number in range(1, 7)]


@pytest.fixture
def world(database: Database) -> BillingWorld:
    """Six accounts with a call each, due since New Year."""
    world = BillingWorld(database)
    plan = world.plan("Plan", "10.00")
    for number in NUMBERS:
        world.account(number, plan, at("2026-12-01"))
        world.call(number, at("2026-12-05T12:00"))
    return world


def close(world: BillingWorld, *, worth_workers: int) -> list[ClosingRun]:
    close_with_workers(
        world.database,
        as_of=at("2027-01-01"),
        currency=USD,
        zone=world.zone,
        should_stop=lambda: False,
        worth_workers=worth_workers,
    )
    return world.database.run_blocking(
        lambda session: list(session.scalars(select(ClosingRun).order_by(ClosingRun.id)))
    )


def test_much_work_is_shared_by_a_process_for_each_cpu(
    world: BillingWorld, database_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBELL_DATABASE_URL", database_url.render_as_string())
    monkeypatch.setenv("TOLLBELL_VAR", str(tmp_path))
    runs = close(world, worth_workers=len(NUMBERS))
    assert len(runs) == (os.cpu_count() or 1) + 1
    assert sum(run.closed for run in runs) == len(NUMBERS)
    assert runs[-1].closed == 0, "the processes have left nothing to the one that started them"
    assert len({run.worker for run in runs}) == len(runs)
    assert all(len(world.documents(number)) == 1 for number in NUMBERS)
    world.check_books()


def test_what_a_process_left_by_dying_is_closed_in_the_end(
    world: BillingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process beside this one dies of its settings; here, before this one has anything to close."""
    monkeypatch.setenv("TOLLBELL_DATABASE_URL", "no address of a database")
    instants = iter([at("2026-12-31"), at("2027-01-01")])

    def close_next() -> Closing:
        return world.close(next(instants))

    closing = close_beside_workers(close_next, 1, as_of=at("2027-01-01"), should_stop=lambda: False)
    assert len(closing.bills) == len(NUMBERS)
    world.check_books()


def test_little_work_is_done_without_starting_any(world: BillingWorld) -> None:
    (run,) = close(world, worth_workers=len(NUMBERS) + 1)
    assert (run.due, run.closed) == (6, 6)

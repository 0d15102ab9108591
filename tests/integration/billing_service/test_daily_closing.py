"""The scheduled closing on a real database: it catches up at start, and survives a database that is away."""

import asyncio
from collections.abc import Callable
from datetime import time

from sqlalchemy import URL, text

from billing_service.jobs.closing_scheduler import FIRST_RETRY, closing_scheduler
from billing_service.storage.unit_of_work import Database
from tests.scenario.billing_world import USD, BillingWorld, at

NOW = at("2027-02-01")


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), timeout=30)


async def test_what_was_missed_is_closed_at_start(database: Database) -> None:
    world = BillingWorld(database)
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    scheduler = closing_scheduler(
        database, closing_time=time(0, 0), currency=USD, zone=world.zone, now=lambda: NOW
    )
    scheduler.start()
    await until(lambda: len(world.documents("0001")) == 3)
    await scheduler.stop()
    assert world.look("0001", NOW).account.state == "suspended"
    world.check_books()


async def test_a_database_that_is_away_makes_it_try_again(database_url: URL, database: Database) -> None:
    world = BillingWorld(database)
    world.account("0001", world.plan("Plan", "10.00"), at("2026-11-01"))
    away = Database.at(database_url.set(database="nowhere"), threads=1)
    scheduler = closing_scheduler(
        away, closing_time=time(0, 0), currency=USD, zone=world.zone, now=lambda: NOW
    )
    scheduler._scheduler.start(paused=True)
    await scheduler.run_now()
    retry = scheduler._scheduler.get_job("retry")
    assert retry.next_run_time == NOW + FIRST_RETRY
    await scheduler.stop()
    away.close()
    assert world.documents("0001") == []
    assert database.run_blocking(lambda session: session.scalar(text("SELECT count(*) FROM bills"))) == 0

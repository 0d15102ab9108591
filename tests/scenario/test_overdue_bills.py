"""`bill.overdue` is told once for each bill that is unpaid when its due date has passed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from billing_service.jobs.closing_scheduler import closing_scheduler
from billing_service.storage.tables import PhoneAccount
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.tell_overdue_bills import tell_overdue_bills
from tests.scenario.billing_world import USD, BillingWorld, at
from tests.support.events import listen, written

CLOSED = at("2026-12-01")
DUE_IS_OVER = at("2026-12-16")  # closed on the 1st, due within 14 days, so in time all through the 15th


def look(database: Database, when: datetime, zone: tzinfo = UTC, at_once: int = 1000) -> int:
    return tell_overdue_bills(database, as_of=when, zone=zone, at_once=at_once)


def told(database: Database) -> list[dict[str, Any]]:
    return [event for event in written(database) if event["type"] == "bill.overdue"]


def bills_of(database: Database, *numbers: str, zone: tzinfo = UTC) -> BillingWorld:
    """A world in which each of these accounts has a bill of 10.00, closed on 1 December."""
    world = BillingWorld(database, zone)
    plan = world.plan("Plan", "10.00")
    for number in numbers:
        world.account(number, plan, at("2026-11-01", zone))
    world.close(at("2026-12-01", zone))
    return world


def test_a_bill_is_overdue_from_the_day_after_its_due_date_and_told_once(database: Database) -> None:
    bills_of(database, "0001")
    listen(database, "bill.overdue")

    assert look(database, DUE_IS_OVER - timedelta(microseconds=1)) == 0
    assert [look(database, DUE_IS_OVER + timedelta(days=day)) for day in range(3)] == [1, 0, 0]

    (event,) = told(database)
    assert (event["account"], event["timestamp"]) == ("0001", "2026-12-16T00:00:00.000000Z")
    assert (event["data"]["due_on"], event["data"]["amount_due"]) == ("2026-12-15", "10.00")


def test_the_due_date_passes_at_midnight_of_the_billing_time_zone(database: Database) -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    bills_of(database, "0001", zone=auckland)

    midnight = at("2026-12-16", auckland)
    assert look(database, midnight - timedelta(microseconds=1), auckland) == 0
    assert look(database, midnight, auckland) == 1


def test_paid_and_void_bills_are_not_overdue_and_of_others_the_rest_is_due(database: Database) -> None:
    world = bills_of(database, "0001", "0002", "0003", "0004")
    listen(database)
    void = world.documents("0002")[0]["number"]
    world.pay("0001", "10.00", CLOSED)
    world.void(void, CLOSED)
    world.pay("0003", "2.50", CLOSED)

    look(database, DUE_IS_OVER)

    assert [(event["account"], event["data"]["amount_due"]) for event in told(database)] == [
        ("0003", "7.50"),
        ("0004", "10.00"),
    ]


def test_what_was_missed_is_told_later_and_what_nobody_heard_is_not(database: Database) -> None:
    world = bills_of(database, "0001")
    assert look(database, DUE_IS_OVER) == 1  # nobody listens yet, and it isn't told to those who come later
    listen(database)
    world.close(at("2027-03-01"))

    assert look(database, at("2027-06-01")) == 3

    numbers = [event["data"]["number"] for event in told(database)]
    assert numbers == [document["number"] for document in world.documents("0001")][1:]


def test_any_number_of_lookers_at_once_tell_once(database: Database) -> None:
    numbers = [f"{number:04}" for number in range(1, 21)]
    bills_of(database, *numbers)
    listen(database, "bill.overdue")

    with ThreadPoolExecutor(4) as lookers:
        found = list(lookers.map(lambda _: look(database, DUE_IS_OVER, at_once=3), range(4)))

    assert sum(found) == 20
    assert sorted(event["account"] for event in told(database)) == numbers


def test_an_account_that_somebody_is_changing_is_waited_for(database: Database) -> None:
    world = bills_of(database, "0001", "0002")
    listen(database, "bill.overdue")
    held, release = threading.Event(), threading.Event()

    def hold(session: Any) -> None:
        session.scalar(select(PhoneAccount).where(PhoneAccount.number == "0001").with_for_update())
        held.set()
        assert release.wait(30)

    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(database.run_blocking, hold)
        assert held.wait(30)
        looking = threads.submit(look, database, DUE_IS_OVER)
        while [event["account"] for event in told(database)] != ["0002"]:
            assert not looking.done()
        release.set()
        holding.result()
        assert looking.result() == 2

    assert [event["account"] for event in told(database)] == ["0002", "0001"]
    world.check_books()


async def test_the_daily_closing_tells(database: Database) -> None:
    await asyncio.to_thread(bills_of, database, "0001")
    listen(database, "bill.overdue")
    scheduler = closing_scheduler(
        database, closing_time=time(), currency=USD, zone=UTC, now=lambda: DUE_IS_OVER
    )
    scheduler._scheduler.start(paused=True)

    await scheduler.run_now()
    await scheduler.run_now()
    await scheduler.stop()

    assert len(told(database)) == 1

"""The outbox: events are written with the change that causes them, for those who listen, in order."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_service.domain.events import Event, EventKind
from billing_service.storage.outbox import is_wanted, publish
from billing_service.storage.unit_of_work import Database
from tests.support.billing import Billing
from tests.support.events import listen, written

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def event(kind: EventKind = EventKind.RECORD_REJECTED, reason: str = "no such call") -> Event:
    return Event(kind, NOON, None, {"record_id": "r1", "reason": reason})


def test_nothing_is_written_while_nobody_listens(database: Database) -> None:
    listen(database, active=False)
    listen(database, "bill.closed")

    database.run_blocking(lambda session: publish(session, event()))

    assert written(database) == []
    assert not database.run_blocking(lambda session: is_wanted(session, EventKind.RECORD_REJECTED))
    assert database.run_blocking(lambda session: is_wanted(session, EventKind.BILL_CLOSED))


def test_a_broker_listens_to_everything(database: Database) -> None:
    database.run_blocking(lambda session: session.execute(text("INSERT INTO event_sinks VALUES ('broker')")))

    database.run_blocking(lambda session: publish(session, event()))

    assert [one["type"] for one in written(database)] == ["record.rejected"]


def test_events_are_written_in_their_order_with_an_identity_each(database: Database) -> None:
    listen(database)

    database.run_blocking(
        lambda session: publish(session, *(event(reason=f"reason {number}") for number in range(50)))
    )

    events = written(database)
    assert [one["data"]["reason"] for one in events] == [f"reason {number}" for number in range(50)]
    assert len({one["id"] for one in events}) == 50
    assert {one["timestamp"] for one in events} == {"2026-11-21T12:00:00.000000Z"}


def test_work_that_fails_leaves_no_event(database: Database) -> None:
    listen(database)

    def fail(session: Session) -> None:
        publish(session, event())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.run_blocking(fail)

    assert written(database) == []


async def test_the_life_of_an_account_is_told_in_order(billing: Billing) -> None:
    listen(billing.database)
    await billing.add_account("0001")
    other_plan = await billing.add_plan("Other")

    for step in ("suspend", "reactivate"):
        assert (await billing.post(f"/v1/phone-accounts/0001/{step}")).status == 200
    assert (await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": other_plan})).status == 200
    assert (await billing.post("/v1/phone-accounts/0001/close")).status == 200

    events = written(billing.database)
    assert [one["type"] for one in events] == [
        "account.opened",
        "account.suspended",
        "account.reactivated",
        "plan.changed",
        "account.closed",
    ]
    assert {one["account"] for one in events} == {"0001"}
    opened, suspended, _, changed, _ = (one["data"] for one in events)
    assert (opened["display_name"], opened["plan"]) == ("Customer of 0001", "Plan of 0001")
    assert (suspended["state"], suspended["reason"]) == ("suspended", "administrator")
    assert (changed["plan"], changed["plan_version"]) == ("Other", 1)


async def test_a_refused_change_is_not_told(billing: Billing) -> None:
    await billing.add_account("0001")
    listen(billing.database)

    assert (await billing.post("/v1/phone-accounts/0001/reactivate")).status == 409

    assert written(billing.database) == []

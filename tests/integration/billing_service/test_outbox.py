"""The outbox: events are written with the change that causes them, for those who listen, in order."""

import itertools
from datetime import UTC, datetime

import pytest
from sqlalchemy import Integer, func, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing_service.domain.events import EVENT_KINDS, Event, EventKind
from billing_service.storage.outbox import is_wanted, publish, publish_rows
from billing_service.storage.unit_of_work import Database
from tests.support.billing import Answer, Billing, call_record
from tests.support.events import listen, written

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def event(kind: EventKind = EventKind.RECORD_REJECTED, reason: str = "no such call") -> Event:
    return Event(
        kind,
        NOON,
        None,
        {"id": 1, "kind": "call_record", "reason": reason, "received_at": "2026-11-21T12:00:00.000000Z"},
    )


def test_nothing_is_written_while_nobody_listens(database: Database) -> None:
    listen(database, active=False)
    listen(database, "bill.closed")

    database.run_blocking(lambda session: publish(session, event()))

    assert written(database) == []
    assert not database.run_blocking(lambda session: is_wanted(session, EventKind.RECORD_REJECTED))
    assert database.run_blocking(lambda session: is_wanted(session, EventKind.BILL_CLOSED))


def test_a_query_for_events_is_not_run_while_nobody_listens(database: Database) -> None:
    fails_when_run = 1 / func.floor(func.random()).cast(Integer)
    rows = select(
        literal("0001").label("account"),
        func.now().label("occurred_at"),
        func.jsonb_build_object("x", fails_when_run).label("data"),
    )

    database.run_blocking(lambda session: publish_rows(session, EventKind.BILL_CLOSED, rows))

    listen(database)
    with pytest.raises(DBAPIError, match="division by zero"):
        database.run_blocking(lambda session: publish_rows(session, EventKind.BILL_CLOSED, rows))


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


async def test_every_kind_of_event_is_told_where_it_happens(billing: Billing) -> None:
    listen(billing.database)
    keys = itertools.count()

    async def book(path: str, **body: object) -> Answer:
        answer = await billing.post(path, body, headers={"Idempotency-Key": f"k{next(keys)}"})
        assert answer.status < 300, answer
        return answer

    plan = await billing.add_plan("Plan")
    await billing.add_account("0001", plan_id=plan)
    await billing.deliver(call_record(1), call_record(2, ended_at="2026-11-21T20:00:00.000000Z"))
    await billing.post(
        "/v1/call", {"id": "e1", "type": "end", "timestamp": "2039-01-01T00:00:00Z", "call_id": "c"}
    )
    await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "7.00"})
    billing.clock.at = datetime(2027, 1, 22, tzinfo=UTC)
    first, second = (await book("/v1/bills/close-due")).body["bills"]
    await book("/v1/payments", account="0001", amount="20.00", bill=first)
    await book("/v1/refunds", account="0001", amount="1.00", reason="paid too much")
    await book("/v1/credits", account="0001", amount="1.00", reason="for the trouble")
    at_christmas = {
        field: f"2026-12-25T{clock}.000000Z"
        for field, clock in (
            ("invited_at", "12:00:00"),
            ("ringing_at", "12:00:00"),
            ("answered_at", "12:00:01"),
            ("acknowledged_at", "12:00:01"),
            ("ended_at", "12:01:01"),
        )
    }
    await billing.deliver(call_record(3, **at_christmas))
    await book(f"/v1/bills/{second}/re-close", reason="a call was missing")
    await book(f"/v1/bills/{second}/void", reason="it was wrong")
    await billing.post("/v1/phone-accounts/0001/suspend")
    await billing.post("/v1/phone-accounts/0001/reactivate")
    await billing.post("/v1/phone-accounts/0001/close")

    events = written(billing.database)

    assert {one["type"] for one in events} == set(EVENT_KINDS) - {"bill.overdue", "webhook.disabled"}
    by_kind = {one["type"]: one["data"] for one in events}
    assert (by_kind["call.rated"]["price"], by_kind["call.rated"]["plan"]) == ("0.10", "Plan")
    assert sorted(one["data"]["kind"] for one in events if one["type"] == "record.rejected") == [
        "call_event",
        "call_record",
    ]
    assert (by_kind["plan.changed"]["plan_version"], by_kind["plan.changed"]["number"]) == (2, "0001")
    assert [one["data"]["number"] for one in events if one["type"] == "bill.closed"] == [first, second]
    assert by_kind["payment.taken"]["amount"] == "20.00"
    assert by_kind["refund.made"]["amount"] == "-1.00"
    assert by_kind["bill.voided"]["state"] == "void"


async def test_a_record_that_is_delivered_again_is_told_once(billing: Billing) -> None:
    await billing.add_account("0001")
    listen(billing.database)
    bad = call_record(2, ended_at="2026-11-21T20:00:00.000000Z")

    for _ in range(2):
        await billing.deliver(call_record(1), bad)

    assert sorted(one["type"] for one in written(billing.database)) == ["call.rated", "record.rejected"]

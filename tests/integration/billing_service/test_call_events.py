"""The phone bills API: call events in any order make calls, and months are closed and read as bills."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from billing_service.domain.call_event import CallEvent
from billing_service.storage.tables import Call, CallEventPair, Customer, PhoneAccount
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.take_call_event import take_call_events
from tests.support.billing import Answer, Billing, MakeBilling, call_record
from tests.support.call_files import MORNING_PRICE, set_default_plan

SOURCE, DESTINATION = "99988526423", "9933468278"


def start(call_id: int | str = 70, at: str = "2026-02-27T21:57:13Z", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"s{call_id}",
        "type": "start",
        "timestamp": at,
        "call_id": call_id,
        "source": SOURCE,
        "destination": DESTINATION,
        **fields,
    }


def end(call_id: int | str = 70, at: str = "2026-02-27T22:10:56Z", **fields: Any) -> dict[str, Any]:
    return {"id": f"e{call_id}", "type": "end", "timestamp": at, "call_id": call_id, **fields}


async def post(billing: Billing, *events: dict[str, Any]) -> list[str]:
    transactions = []
    for event in events:
        answer = await billing.post("/v1/call", event)
        assert answer.status == 202, answer
        transactions.append(answer.body["transaction_id"])
    return transactions


async def close(billing: Billing, month: int = 2, year: int = 2026, number: str = SOURCE) -> Answer:
    return await billing.post(f"/v1/bill/{number}/close", {"month": month, "year": year})


async def read(billing: Billing, number: str = SOURCE, **query: int) -> Answer:
    return await billing.get(f"/v1/bill/{number}", **query)


async def calls_of(billing: Billing, number: str = SOURCE) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await billing.get("/v1/calls", caller=number, limit=200)).body["items"]
    return items


async def rejected(billing: Billing, **query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await billing.get("/v1/rejected-call-records", **query)).body["items"]
    return items


def count(billing: Billing, table: type[Any]) -> int:
    return billing.database.run_blocking(
        lambda session: session.scalars(select(func.count()).select_from(table)).one()
    )


async def test_the_examples_of_the_design_from_events_to_the_bill(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(
        billing,
        start(70),
        end(70),
        end(71, "2026-02-28T22:10:56Z"),
        start(71, destination="9993468278"),
    )
    assert (await close(billing)).status == 202

    bill = (await read(billing, month=2, year=2026)).body

    assert bill == {
        "subscriber": SOURCE,
        "period": "02/2026",
        "calls": [
            {
                "destination": DESTINATION,
                "start_date": "2026-02-27",
                "start_time": "21:57:13",
                "duration": "0h13m43s",
                "price": "0.54",
            },
            {
                "destination": "9993468278",
                "start_date": "2026-02-27",
                "start_time": "21:57:13",
                "duration": "24h13m43s",
                "price": "86.94",
            },
        ],
        "call_total": "87.48",
        "total": "87.48",
        "currency": "USD",
        "bill": "2026-000001",
    }
    assert (await read(billing)).body == bill


async def test_the_morning_example_of_the_design(billing: Billing) -> None:
    await set_default_plan(billing, MORNING_PRICE)
    await post(billing, start(1, "2026-02-27T07:00:00Z"), end(1, "2026-02-27T08:29:20Z"))
    (call,) = await calls_of(billing)
    assert call["price"] == "7.50"


@pytest.mark.parametrize(
    "order", [("start", "end"), ("end", "start"), ("end", "end", "start", "start", "end")]
)
async def test_either_order_and_any_repeats_make_one_call(billing: Billing, order: tuple[str, ...]) -> None:
    await set_default_plan(billing)
    events = {"start": start(), "end": end()}
    transactions = await post(billing, *(events[kind] for kind in order))
    (call,) = await calls_of(billing)
    assert (call["price"], call["duration_us"], call["ended_by"]) == ("0.54", 823_000_000, "unknown")
    assert len(set(transactions)) == 2, "the same event has the same transaction"
    assert await rejected(billing) == []


async def test_many_posts_of_both_events_at_once_make_one_call(billing: Billing) -> None:
    await set_default_plan(billing)
    events = [event for number in range(5) for event in (start(number), end(number))]
    await asyncio.gather(*(post(billing, *events[turn:], *events[:turn]) for turn in range(6)))
    assert len(await calls_of(billing)) == 5
    assert count(billing, PhoneAccount) == 1
    assert count(billing, Customer) == 1
    assert await rejected(billing) == []


def test_two_takers_that_meet_in_the_middle_pair_the_call_once(database: Any) -> None:
    taken = [CallEvent.from_document(event) for event in (start(), end())]

    def take(session: Any) -> Any:
        return take_call_events(
            session, taken, plans=CompiledPlans(), currency=None, zone=UTC, received_at=datetime.now(UTC)
        )

    # Without a default plan the record is kept apart: nothing needs a currency.
    first = database.run_blocking(take)
    again = database.run_blocking(take)
    assert [result.receipt.value for result in first] == ["taken", "taken"]
    assert [result.receipt.value for result in again] == ["repeated", "repeated"]


async def test_a_number_of_nobody_gets_an_account_that_no_phone_can_register_with(billing: Billing) -> None:
    plan_id = await set_default_plan(billing)
    await post(billing, start())
    account = (await billing.get(f"/v1/phone-accounts/{SOURCE}")).body
    assert (account["customer_name"], account["plan_id"], account["billing_day"]) == (
        "Unassigned",
        plan_id,
        1,
    )
    directory = (await billing.get("/internal/v1/directory")).body
    assert directory["accounts"] == []
    # With a SIP password it is a phone like any other.
    assert (await billing.post(f"/v1/phone-accounts/{SOURCE}/sip-password", {})).status == 200
    directory = (await billing.get("/internal/v1/directory", since=directory["version"])).body
    assert [account["number"] for account in directory["accounts"]] == [SOURCE]


async def test_a_number_with_an_account_is_billed_by_its_own_plan(billing: Billing) -> None:
    await billing.add_account("0001")
    await post(
        billing,
        start(1, "2026-11-21T20:30:00Z", source="0001"),
        end(1, "2026-11-21T20:31:00Z", source="0001"),
    )
    (call,) = await calls_of(billing, "0001")
    assert (call["account"], call["plan_name"], call["price"]) == ("0001", "Plan of 0001", "0.10")
    assert count(billing, PhoneAccount) == 1


async def test_a_contradictory_event_is_kept_apart_and_changes_nothing(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(), end())
    contradictory = {
        "another end of this call was posted before: e70": [end(at="2026-02-27T22:10:57Z")],
        "another start of this call was posted before: s70": [
            start(destination="99"),
            start(source="99"),
            start(at="2026-02-27T21:57:14Z"),
        ],
    }
    for reason, events in contradictory.items():
        for event in events:
            await post(billing, event, event)
            kept = (await rejected(billing))[0]
            assert (kept["kind"], kept["state"]) == ("call_event", "pending")
            assert kept["reason"].startswith(reason)
            assert kept["record"]["call_id"] == "70"
    assert len(await rejected(billing)) == 4
    (call,) = await calls_of(billing)
    assert call["price"] == "0.54"


async def test_an_end_before_the_start_is_released_with_a_correction(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(), end(at="2026-02-27T21:00:00Z"))
    assert await calls_of(billing) == []
    (kept,) = await rejected(billing, state="pending")
    assert kept["reason"] == "the end is before the start"
    path = f"/v1/rejected-call-records/{kept['id']}"

    as_it_is = await billing.post(f"{path}/release", {})
    assert (as_it_is.status, "the end is before the start" in as_it_is.body["detail"]) == (409, True)
    wrong = await billing.post(f"{path}/release", {"corrections": {"timestamp": "noon", "colour": "red"}})
    assert sorted(wrong.fields()) == ["corrections.colour", "corrections.timestamp"]
    right = await billing.post(
        f"{path}/release", {"corrections": {"timestamp": "2026-02-27T22:10:56Z"}, "note": "clock was wrong"}
    )

    assert right.status == 200
    assert (right.body["state"], right.body["released_as"]) == ("released", "70")
    assert (right.body["resolved_by"], right.body["note"]) == ("service", "clock was wrong")
    (call,) = await calls_of(billing)
    assert call["price"] == "0.54"
    assert (await billing.post(f"{path}/release", {})).status == 409
    assert (await billing.post(f"{path}/dismiss", {})).status == 409
    assert await rejected(billing, state="pending") == []
    # What was settled stays settled when it is posted again.
    await post(billing, end(at="2026-02-27T21:00:00Z"))
    assert await rejected(billing, state="pending") == []


async def test_a_rejected_event_is_dismissed(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(), end(), end(at="2026-02-27T23:00:00Z"))
    (kept,) = await rejected(billing)
    answer = await billing.post(f"/v1/rejected-call-records/{kept['id']}/dismiss", {"note": "a test"})
    assert (answer.body["state"], answer.body["note"]) == ("dismissed", "a test")
    assert (await billing.get("/v1/overview")).body["rejected_records"] == 0
    assert [row["state"] for row in await rejected(billing, state="dismissed")] == ["dismissed"]
    assert (await billing.post("/v1/rejected-call-records/99/dismiss", {})).status == 404


async def test_without_a_default_plan_the_call_waits_and_is_released_when_there_is_one(
    billing: Billing,
) -> None:
    await post(billing, start(), end())
    (kept,) = await rejected(billing)
    assert (kept["kind"], "no default plan is set" in kept["reason"]) == ("call_record", True)
    path = f"/v1/rejected-call-records/{kept['id']}/release"
    assert (await billing.post(path, {})).status == 409
    await set_default_plan(billing)
    released = await billing.post(path, {})
    assert (released.status, released.body["released_as"]) == (200, kept["record"]["record_id"])
    (call,) = await calls_of(billing)
    assert call["price"] == "0.54"


async def test_a_rejected_record_of_the_exchange_is_released_with_corrections(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record(1, ended_at="2026-11-19T20:00:00Z"))
    (kept,) = await rejected(billing)
    path = f"/v1/rejected-call-records/{kept['id']}/release"
    wrong = await billing.post(path, {"corrections": {"duration_us": -1, "status": "x"}})
    assert sorted(wrong.fields()) == ["corrections.duration_us", "corrections.status"]
    right = await billing.post(path, {"corrections": {"ended_at": "2026-11-21T20:11:04.000000Z"}})
    assert right.status == 200, right
    (call,) = await calls_of(billing, "0001")
    assert call["price"] == "0.10"


async def test_an_event_without_its_pair_is_shown_and_never_billed(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(1), end(2), start(3), end(3))
    unpaired = (await billing.get("/v1/unpaired-calls", limit=1)).body
    assert [call["call_id"] for call in unpaired["items"]] == ["2"]
    rest = (await billing.get("/v1/unpaired-calls", cursor=unpaired["next_cursor"])).body
    assert rest["items"] == [
        {
            "call_id": "1",
            "received_at": "2026-11-21T20:00:00.000000Z",
            "started_at": "2026-02-27T21:57:13.000000Z",
            "source": SOURCE,
            "destination": DESTINATION,
            "ended_at": None,
        }
    ]
    await close(billing)
    assert len((await read(billing)).body["calls"]) == 1


async def test_a_timestamp_without_offset_is_in_the_billing_time_zone(make_billing: MakeBilling) -> None:
    billing = await make_billing(timezone=ZoneInfo("America/Sao_Paulo"))
    await set_default_plan(billing)
    await post(billing, start(at="2026-02-27T21:57:13"), end(at="2026-02-28T01:10:56Z"))
    await close(billing)
    (call,) = (await read(billing)).body["calls"]
    assert (call["start_time"], call["duration"], call["price"]) == ("21:57:13", "0h13m43s", "0.54")


async def test_a_month_is_closed_when_it_is_over_and_once(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(1, "2026-11-01T12:00:00Z"), end(1, "2026-11-01T12:01:00Z"))
    too_early = await close(billing, 11)
    assert too_early.status == 409
    assert "11/2026 ends on 2026-12-01 and can't be closed before" in too_early.body["detail"]
    missing = await read(billing, month=11, year=2026)
    assert missing.status == 404
    assert missing.body["detail"] == f"There is no closed bill of {SOURCE} for 11/2026."
    assert (await read(billing)).body["detail"] == f"No bill of {SOURCE} was closed yet."
    billing.clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    answers = await asyncio.gather(*(close(billing, 11) for _ in range(4)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["transaction_id"] for answer in answers}) == 1
    assert len((await billing.get("/v1/bills")).body["items"]) == 1


async def test_months_without_calls_are_passed_over_and_the_last_closed_is_shown(billing: Billing) -> None:
    await set_default_plan(billing, monthly_fee="5.00")
    for number, month in enumerate(("2017-12", "2018-02"), 1):
        await post(billing, start(number, f"{month}-12T15:07:58Z"), end(number, f"{month}-12T15:12:56Z"))
    assert (await close(billing, 3, 2018)).status == 202
    periods = [bill["period"]["start"][:7] for bill in (await billing.get("/v1/bills")).body["items"]]
    assert sorted(periods) == ["2017-12", "2018-02", "2018-03"]
    assert (await read(billing)).body["period"] == "03/2018"
    assert (await read(billing, month=12, year=2017)).body["call_total"] == "0.72"
    nothing = await close(billing, 1, 2018)
    assert (nothing.status, "There is no bill to make for 01/2018" in nothing.body["detail"]) == (409, True)
    # The daily closing leaves these accounts alone.
    assert (await billing.post("/v1/bills/close-due", {})).body["closed"] == 0


async def test_a_call_of_an_earlier_month_lets_the_account_reach_back(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(1, "2026-03-01T12:00:00Z"), end(1, "2026-03-01T12:01:00Z"))
    await post(billing, start(2, "2026-01-31T12:00:00Z"), end(2, "2026-01-31T12:01:00Z"))
    assert [call["price"] for call in await calls_of(billing)] == ["0.45", "0.45"]
    await close(billing, 1)
    assert (await read(billing)).body["period"] == "01/2026"
    # After a bill was closed, an even earlier one is late, and on the next.
    await post(billing, start(3, "2025-12-31T12:00:00Z"), end(3, "2025-12-31T12:01:00Z"))
    await close(billing, 3)
    bill = (await read(billing, month=3, year=2026)).body
    assert [call["start_date"] for call in bill["calls"]] == ["2025-12-31", "2026-03-01"]


async def test_a_void_bill_keeps_an_account_from_reaching_back(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(1, "2026-03-01T12:00:00Z"), end(1, "2026-03-01T12:01:00Z"))
    await close(billing, 3)
    number = (await billing.get("/v1/bills")).body["items"][0]["number"]

    async def put_right(what: str) -> Answer:
        key = {"Idempotency-Key": what}
        return await billing.post(f"/v1/bills/{number}/{what}", {"reason": "Wrong"}, headers=key)

    assert (await put_right("void")).status == 200
    await post(billing, start(2, "2026-01-31T12:00:00Z"), end(2, "2026-01-31T12:01:00Z"))
    # The bill that replaces the void one has both; none is made of March once more.
    assert (await put_right("re-close")).status == 200
    bill = (await read(billing, month=3, year=2026)).body
    assert [call["start_date"] for call in bill["calls"]] == ["2026-01-31", "2026-03-01"]
    await post(billing, start(3, "2026-04-02T12:00:00Z"), end(3, "2026-04-02T12:01:00Z"))
    assert (await close(billing, 4)).status == 202
    assert [call["start_date"] for call in (await read(billing)).body["calls"]] == ["2026-04-02"]


async def test_a_number_is_given_to_whom_it_belongs(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(1), end(1))
    await post(billing, start(2, "2026-11-03T12:00:00Z"), end(2, "2026-11-03T12:01:00Z"))
    customer = await billing.add_customer("Alice")
    plan = await billing.add_plan("Hers")
    path = f"/v1/phone-accounts/{SOURCE}/assign"
    unassigned = (await billing.get(f"/v1/phone-accounts/{SOURCE}")).body["customer_id"]
    for nobody in (99, unassigned):
        assert (await billing.post(path, {"customer_id": nobody})).fields().keys() == {"customer_id"}

    answer = await billing.post(path, {"customer_id": customer, "plan_id": plan})

    assert answer.status == 200, answer
    assert (answer.body["customer_name"], answer.body["plan_name"]) == ("Alice", "Hers")
    assert (await billing.post(path, {"customer_id": customer})).status == 409
    assert (await billing.post("/v1/phone-accounts/77/assign", {"customer_id": customer})).status == 404
    closed = await billing.close_ahead("2026-12-01T00:00:00Z")
    assert closed.body["closed"] == 1, "a month, not one for every month since February"
    billing.clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    bill = (await billing.get(f"/v1/bills/{closed.body['bills'][0]}")).body
    assert [(call["price"], call["late"]) for call in bill["calls"]] == [("0.54", True), ("0.45", False)]
    assert bill["period"]["start"] == "2026-11-01T00:00:00.000000Z"


async def test_an_account_with_a_billing_day_of_its_own_is_closed_by_the_month_it_begins_in(
    billing: Billing,
) -> None:
    await billing.add_account("0021")  # opened on 21 November
    assert (await close(billing, 11, 2026, "0021")).status == 409
    billing.clock.at = datetime(2026, 12, 21, tzinfo=UTC)
    assert (await close(billing, 11, 2026, "0021")).status == 202
    bill = (await read(billing, "0021", month=11, year=2026)).body
    assert (bill["period"], bill["call_total"], bill["calls"]) == ("11/2026", "0.00", [])


WRONG_EVENTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["call_id", "id", "timestamp", "type"]),
    ({"type": "start"}, ["call_id", "destination", "id", "source", "timestamp"]),
    (
        start(id="", call_id=[], timestamp="noon", source="1", destination="xxx"),
        ["call_id", "destination", "id", "source", "timestamp"],
    ),
    (start(source="1234567890123456", destination=99), ["destination", "source"]),
    (end(destination="9933468278"), ["destination"]),
    (start(colour="red", type="pause"), ["colour", "type"]),
    (start(at="9999-12-31T23:59:59-14:00"), ["timestamp"]),
    (start(at="0001-01-01T00:00:00"), ["timestamp"]),
    (start(id=True, call_id=10**30), ["call_id", "id"]),
]


async def test_every_wrong_field_of_an_event_is_named(billing: Billing) -> None:
    for body, fields in WRONG_EVENTS:
        answer = await billing.post("/v1/call", body)
        assert (answer.status, sorted(answer.fields())) == (422, fields)
    assert count(billing, CallEventPair) == 0


async def test_a_close_request_that_makes_no_sense_is_refused(billing: Billing) -> None:
    wrong: list[tuple[str, dict[str, Any], int, list[str]]] = [
        (SOURCE, {"month": 2, "year": 2026}, 404, []),
        ("x", {"month": 2, "year": 2026}, 422, ["subscriber"]),
        ("1", {"month": 2, "year": 2026}, 422, ["subscriber"]),
        (SOURCE, {"month": 13, "year": "2026"}, 422, ["month", "year"]),
        (SOURCE, {}, 422, ["month", "year"]),
        (SOURCE, {"month": 2, "year": 2026, "day": 1}, 422, ["day"]),
    ]
    for number, body, status, fields in wrong:
        answer = await billing.post(f"/v1/bill/{number}/close", body)
        assert (answer.status, sorted(answer.fields())) == (status, fields)


async def test_a_reference_period_is_a_month_of_a_year(billing: Billing) -> None:
    wrong: list[tuple[dict[str, int], list[str]]] = [
        ({"month": 2}, ["year"]),
        ({"year": 2026}, ["month"]),
        ({"month": 0, "year": 1}, ["month", "year"]),
    ]
    for query, fields in wrong:
        answer = await read(billing, **query)
        assert (answer.status, sorted(answer.fields())) == (422, fields)


async def test_an_event_of_the_future_is_kept_apart(billing: Billing) -> None:
    await set_default_plan(billing)
    tomorrow = (billing.clock.at + timedelta(hours=25)).isoformat()
    await post(billing, start(at=tomorrow))
    (kept,) = await rejected(billing)
    assert "look at the clock of the sender" in kept["reason"]
    assert count(billing, Call) == 0


async def test_a_call_to_an_emergency_number_costs_nothing(billing: Billing) -> None:
    await set_default_plan(billing)
    await post(billing, start(destination="9911"), end())
    (call,) = await calls_of(billing)
    assert (call["emergency"], call["price"]) == (True, "0.00")

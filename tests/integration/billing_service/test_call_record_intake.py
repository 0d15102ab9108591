"""Call records are taken in exactly once, rated on arrival, and never lost."""

import asyncio
import threading
import time
from datetime import UTC, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from admin_web.billing_models import Page, RejectedRecord
from billing_service.domain.money import Currency
from billing_service.http_api.call_records import CallRecordModel
from billing_service.storage.tables import Call, RejectedCallRecord
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_records import Delivery, store_call_records
from tests.support.billing import START, TOKEN, Billing, call_record, unanswered_record


async def stored_calls(billing: Billing) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await billing.get("/v1/calls", limit=200)).body["items"]
    return items


async def test_a_record_is_stored_and_priced_when_it_arrives(billing: Billing) -> None:
    await billing.add_account("0001")

    results = await billing.deliver(call_record(1, duration_us=61_000_000, ended_at="2026-11-21T20:11:05Z"))

    assert results == [{"record_id": f"{1:032x}", "status": "stored"}]
    (call,) = await stored_calls(billing)
    assert call["account"] == "0001"
    assert call["plan_name"] == "Plan of 0001"
    assert (call["price_precise"], call["price"]) == ("0.200000", "0.20")
    assert call["ended_at"] == "2026-11-21T20:11:05.000000Z"
    assert (call["bill"], call["late"]) == (None, False)


async def test_a_second_delivery_is_a_duplicate_and_changes_nothing(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record(1))
    before = await stored_calls(billing)

    results = await billing.deliver(call_record(1), call_record(2), call_record(1))

    assert [result["status"] for result in results] == ["duplicate", "stored", "duplicate"]
    after = await stored_calls(billing)
    assert [call for call in after if call["record_id"] == f"{1:032x}"] == before
    assert len(after) == 2


async def test_the_same_record_twice_in_one_batch_is_stored_once(billing: Billing) -> None:
    results = await billing.deliver(call_record(1), call_record(1))
    assert [result["status"] for result in results] == ["stored", "duplicate"]
    assert len(await stored_calls(billing)) == 1


async def test_an_instant_written_differently_is_still_the_same_record(billing: Billing) -> None:
    await billing.deliver(call_record(1))
    results = await billing.deliver(call_record(1, invited_at="2026-11-21T21:10:00+01:00"))
    assert results[0]["status"] == "duplicate"


async def test_other_facts_under_a_known_identifier_are_rejected_and_kept(billing: Billing) -> None:
    await billing.deliver(call_record(1))
    other = call_record(1, callee="0003")

    for _ in range(2):  # delivered again, it is rejected again and kept once
        results = await billing.deliver(other)
        assert results[0]["status"] == "rejected"
        assert results[0]["reason"] == "another record with this record_id was stored before"

    (call,) = await stored_calls(billing)
    assert call["callee"] == "0002"
    (rejected,) = (await billing.get("/v1/rejected-call-records")).body["items"]
    assert rejected["record"] == other


async def test_of_two_records_with_one_identifier_in_a_batch_the_first_counts(billing: Billing) -> None:
    await billing.add_account("0001")
    results = await billing.deliver(call_record(1), call_record(1, duration_us=3_600_000_000))
    assert [result["status"] for result in results] == ["stored", "rejected"]
    (call,) = await stored_calls(billing)
    assert (call["duration_us"], call["price"]) == (60_000_000, "0.10")


async def test_many_deliveries_of_the_same_records_at_once_store_each_once(billing: Billing) -> None:
    await billing.add_account("0001")
    records = [call_record(number) for number in range(1, 41)]
    # Different orders, so that the deliveries meet each other in the middle.
    batches = [records, records[::-1], records[20:] + records[:20], records] * 3

    answers = await asyncio.gather(*(billing.deliver(*batch) for batch in batches))

    statuses = [result["status"] for results in answers for result in results]
    assert statuses.count("stored") == 40
    assert statuses.count("duplicate") == 40 * (len(batches) - 1)
    assert {call["price"] for call in await stored_calls(billing)} == {"0.10"}
    assert len(await stored_calls(billing)) == 40


def test_a_rival_that_rolls_back_leaves_the_record_to_the_other(database: Database) -> None:
    record = call_record(1)
    delivery = Delivery(record, CallRecordModel.model_validate(record).to_call())
    holds, release = threading.Event(), threading.Event()

    class Broken(Exception):
        pass

    def store(session: Session) -> list[str]:
        results = store_call_records(
            session,
            [delivery],
            plans=CompiledPlans(),
            currency=Currency.of("USD"),
            zone=UTC,
            received_at=START,
        )
        return [result.receipt.value for result in results]

    def store_then_break(session: Session) -> None:
        assert store(session) == ["stored"]
        holds.set()
        assert release.wait(10)
        raise Broken

    def first() -> None:
        with pytest.raises(Broken):
            database.run_blocking(store_then_break)

    rival = threading.Thread(target=first)
    rival.start()
    assert holds.wait(10)
    results: list[list[str]] = []
    second = threading.Thread(target=lambda: results.append(database.run_blocking(store)))
    second.start()
    second.join(0.2)
    assert second.is_alive(), "the second delivery must wait for the outcome of the first"
    release.set()
    rival.join(10)
    second.join(10)
    assert results == [["stored"]]
    assert database.run_blocking(lambda s: s.scalars(select(func.count()).select_from(Call)).one()) == 1


async def test_a_caller_that_nobody_knows_is_stored_without_account_and_price(billing: Billing) -> None:
    results = await billing.deliver(call_record(1, caller="7777"))
    assert results[0]["status"] == "stored"
    (call,) = await stored_calls(billing)
    assert (call["account"], call["plan_name"], call["price"]) == (None, None, None)


async def test_a_call_from_before_the_account_was_opened_has_no_price(billing: Billing) -> None:
    await billing.add_account("0001")
    record = call_record(
        1,
        invited_at="2026-11-21T19:00:00Z",
        ringing_at=None,
        answered_at="2026-11-21T19:00:01Z",
        acknowledged_at=None,
        ended_at="2026-11-21T19:01:01Z",
    )
    assert (await billing.deliver(record))[0]["status"] == "stored"
    (call,) = await stored_calls(billing)
    assert (call["account"], call["price"]) == ("0001", None)


async def test_an_unanswered_attempt_has_no_price_and_an_emergency_call_costs_nothing(
    billing: Billing,
) -> None:
    await billing.add_account("0001")
    await billing.deliver(unanswered_record(1), call_record(2, callee="9911", emergency=True))
    prices = {call["outcome"]: call["price"] for call in await stored_calls(billing)}
    assert prices == {"busy": None, "answered": "0.00"}


async def test_a_call_is_rated_with_the_version_in_force_at_its_answer(billing: Billing) -> None:
    plan = await billing.add_plan("Flat", base_price={"per_minute": "0.10"})
    await billing.add_account("0001", plan_id=plan)
    billing.clock.at = billing.clock.at.replace(hour=21)
    await billing.patch(f"/v1/plans/{plan}", {"base_price": {"per_minute": "0.30"}})

    def at(number: int, clock: str) -> dict[str, Any]:
        return call_record(
            number,
            invited_at=f"2026-11-21T{clock}Z",
            ringing_at=None,
            answered_at=f"2026-11-21T{clock}Z",
            acknowledged_at=None,
            ended_at="2026-11-21T21:30:00Z",
        )

    await billing.deliver(at(1, "20:59:59.999999"), at(2, "21:00:00.000000"))
    prices = {call["record_id"][-1]: call["price"] for call in await stored_calls(billing)}
    assert prices == {"1": "0.10", "2": "0.30"}


async def test_the_price_is_explained(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record(1))
    answer = await billing.get(f"/v1/calls/{1:032x}")
    assert answer.status == 200
    assert "Plan of 0001" in answer.body["explanation"][0]
    assert answer.body["explanation"][-1] == "Together 0.100000, rounded to 0.10 USD."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ended_at": "2026-11-19T20:00:00Z"}, "ended_at is before answered_at"),
        ({"outcome": "busy"}, "answered_at is set"),
        ({"answered_at": None}, "answered_at is missing"),
        ({"duration_us": -1}, "duration_us"),
        ({"duration_us": 1.5}, "duration_us"),
        ({"duration_us": 10**30}, "duration_us"),
        ({"duration_us": 10**4000}, "duration_us"),
        ({"duration_us": 1e300}, "duration_us"),
        ({"duration_us": True}, "duration_us"),
        ({"outcome": "exploded"}, "outcome"),
        ({"ended_by": None}, "ended_by"),
        ({"status": 42}, "status"),
        ({"caller": ""}, "caller"),
        ({"ended_at": "2026-11-22T20:00:01Z"}, "ended_at is more than 24 hours after the record arrived"),
        ({"invited_at": "2199-01-01T00:00:00Z"}, "ringing_at is before invited_at"),
        ({"reason": 486}, "reason"),
        ({"emergency": "no"}, "emergency"),
        ({"invited_at": "yesterday"}, "invited_at"),
        ({"invited_at": "0001-01-01T00:00:00+14:00"}, "invited_at"),
        ({"ended_at": "9999-12-31T23:59:59-14:00"}, "ended_at"),
        ({"invited_at": 1795291200}, "invited_at"),
        ({"invited_at": "2026-11-21T20:00:00"}, "invited_at"),
        ({"record_id": ""}, "record_id"),
        ({"record_id": "a b"}, "record_id"),
        ({"record_id": None}, "record_id"),
        ({"record_id": ["x"]}, "record_id"),
    ],
)
async def test_a_record_that_cannot_be_right_is_quarantined_with_the_reason(
    billing: Billing, change: dict[str, Any], reason: str
) -> None:
    wrong = {**call_record(1), **change}
    results = await billing.deliver(wrong, call_record(2))

    assert [result["status"] for result in results] == ["rejected", "stored"]
    assert reason in results[0]["reason"]
    assert [call["record_id"] for call in await stored_calls(billing)] == [f"{2:032x}"]
    (kept,) = (await billing.get("/v1/rejected-call-records")).body["items"]
    assert kept["record"] == wrong
    assert kept["reason"] == results[0]["reason"]


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "\ud800"},
        {"caller": "00\x0001"},
        {"reason": "half \udfff", "status": 42},
        {"\ud800": "\x00"},
        {"extra": {"\x00": ["\udc00", {"deep": "\ud9ab"}], "\ud800": 1.5, "fine": None}},
    ],
)
async def test_a_rejected_record_with_characters_that_are_none_can_still_be_shown(
    billing: Billing, change: dict[str, Any]
) -> None:
    results = await billing.deliver({**call_record(1), **change}, call_record(2, status=42))
    assert [result["status"] for result in results] == ["rejected", "rejected"]
    # What is stored by earlier versions must not spoil the page either.
    as_sent = {"digest": b"1", "reason": "status", "record": {**call_record(3), **change}}
    billing.database.run_blocking(lambda session: session.execute(insert(RejectedCallRecord), [as_sent]))

    async with billing.client.get(
        "/v1/rejected-call-records", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as answer:
        raw = await answer.read()

    # As the console reads it, strictly.
    kept = TypeAdapter(Page[RejectedRecord]).validate_json(raw)
    assert len(kept.items) == 3
    assert b"\\u0000" not in raw
    assert "\ufffd".encode() in raw


async def test_a_record_of_the_next_day_is_stored_a_later_one_is_not(billing: Billing) -> None:
    await billing.add_account("0001")
    tomorrow = {
        "answered_at": "2026-11-22T19:59:00Z",
        "acknowledged_at": None,
        "ended_at": "2026-11-22T20:00:00Z",
    }
    later = {**tomorrow, "ended_at": "2026-11-22T20:00:00.000001Z"}
    results = await billing.deliver(call_record(1, **tomorrow), call_record(2, **later))
    assert [result["status"] for result in results] == ["stored", "rejected"]
    billing.clock.advance(timedelta(seconds=1))
    assert (await billing.deliver(call_record(2, **later)))[0]["status"] == "stored"


async def test_a_rejected_record_is_kept_once_and_its_repair_is_welcome(billing: Billing) -> None:
    wrong = call_record(1, status=42)
    for _ in range(3):
        assert (await billing.deliver(wrong))[0]["status"] == "rejected"
    assert len((await billing.get("/v1/rejected-call-records")).body["items"]) == 1
    assert (await billing.deliver(call_record(1)))[0]["status"] == "stored"


async def test_a_price_that_no_column_can_hold_is_rejected_not_an_error(billing: Billing) -> None:
    # At the largest price, a call of 70 days.
    plan = await billing.add_plan("Dear", base_price={"per_minute": "9999999.999999"})
    await billing.add_account("0001", plan_id=plan)
    months = call_record(1, ended_at="2027-01-30T20:10:04Z", duration_us=70 * 86_400_000_000)
    month = call_record(2, ended_at="2026-12-22T20:10:04Z", duration_us=31 * 86_400_000_000)
    billing.clock.advance(timedelta(days=71))
    results = await billing.deliver(months, month)
    assert [result["status"] for result in results] == ["rejected", "stored"]
    assert results[0]["reason"] == "its price is too large to be stored"


async def test_a_field_of_a_newer_exchange_is_ignored(billing: Billing) -> None:
    assert (await billing.deliver(call_record(1, codec="opus")))[0]["status"] == "stored"


@pytest.mark.parametrize(
    "body", ["text", [], {}, {"records": None}, {"records": {}}, {"records": [1]}, {"records": [], "more": 1}]
)
async def test_a_body_that_is_no_batch_is_refused_whole(billing: Billing, body: Any) -> None:
    assert (await billing.post("/internal/v1/call-records", body)).status == 422


async def test_an_empty_batch_is_fine(billing: Billing) -> None:
    assert await billing.deliver() == []


async def test_more_than_a_thousand_at_once_are_refused(billing: Billing) -> None:
    answer = await billing.post("/internal/v1/call-records", {"records": [{}] * 1001})
    assert answer.status == 422
    rows = billing.database.run_blocking(
        lambda session: session.scalars(select(func.count()).select_from(RejectedCallRecord)).one()
    )
    assert rows == 0


async def test_a_thousand_records_are_stored_in_one_go(billing: Billing) -> None:
    await billing.add_account("0001")
    records = [call_record(number) for number in range(1, 1001)]
    started = time.process_time()
    results = await billing.deliver(*records)
    assert time.process_time() - started < 3  # seconds of CPU; a statement per record would need far more
    assert {result["status"] for result in results} == {"stored"}
    overview = (await billing.get("/v1/overview")).body
    assert (overview["calls_today"], overview["charged_today"]) == (1000, "100.00")


async def test_calls_are_found_by_side_outcome_and_time(billing: Billing) -> None:
    await billing.deliver(
        call_record(1),
        call_record(2, caller="0002", callee="0001", invited_at="2026-11-21T20:10:01Z", ringing_at=None),
        unanswered_record(
            3,
            caller="0003",
            callee="0004",
            invited_at="2026-11-21T20:10:02Z",
            ringing_at=None,
            ended_at="2026-11-21T20:10:03Z",
        ),
    )

    async def found(**query: str) -> str:
        items = (await billing.get("/v1/calls", **query)).body["items"]
        return "".join(call["record_id"][-1] for call in items)

    assert await found() == "321"
    assert await found(number="0001") == "21"
    assert await found(caller="0001") == "1"
    assert await found(callee="0001") == "2"
    assert await found(outcome="busy") == "3"
    assert await found(**{"from": "2026-11-21T20:10:01Z", "to": "2026-11-21T20:10:02Z"}) == "2"
    first = (await billing.get("/v1/calls", limit=2)).body
    second = (await billing.get("/v1/calls", limit=2, cursor=first["next_cursor"])).body
    assert [call["record_id"][-1] for call in first["items"] + second["items"]] == ["3", "2", "1"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("record_id", ["f" * 32, "nothing", "a..b"])
async def test_an_unknown_call_is_not_found(billing: Billing, record_id: str) -> None:
    assert (await billing.get(f"/v1/calls/{record_id}")).status == 404

"""Calls as files: what the filter finds and nothing else, whole or visibly broken off."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from billing_service.http_api import call_export
from billing_service.storage.unit_of_work import DatabaseUnavailable
from tests.support.billing import TOKEN, Billing, call_record, unanswered_record

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def export(billing: Billing, path: str, **query: str) -> bytes:
    async with billing.client.get(path, headers=HEADERS, params=query) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Disposition"].startswith("attachment; filename=")
        return await response.read()


def at(minute: int) -> dict[str, str]:
    """A call a minute later than the last."""
    invited = datetime(2026, 11, 21, 20, tzinfo=UTC) + timedelta(minutes=minute)

    def instant(seconds: float) -> str:
        return (invited + timedelta(seconds=seconds)).isoformat()

    return {
        "invited_at": instant(0),
        "ringing_at": instant(0.1),
        "answered_at": instant(4),
        "acknowledged_at": instant(4.05),
        "ended_at": instant(64),
    }


async def some_calls(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.add_account("0002")
    await billing.deliver(
        *(call_record(number, **at(number)) for number in range(1, 8)),
        call_record(8, **at(8), caller="0002", callee="0001"),
        call_record(9, **at(9), emergency=True, callee="9911"),
        call_record(10, **at(10), caller="7777", callee="8888"),
        unanswered_record(11),
    )


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"number": "0001"},
        {"caller": "0002"},
        {"callee": "0002"},
        {"kind": "charged"},
        {"kind": "free"},
        {"kind": "unrated"},
        {"kind": "emergency"},
        {"kind": "unanswered"},
        {"account": "0001"},
        {"account": "0404"},
        {"bill": "2026-000001"},
        {"outcome": "busy"},
        {"number": "0001", "kind": "charged", "from": "2026-11-21T20:03:00Z", "to": "2026-11-21T20:06:00Z"},
    ],
)
async def test_a_file_has_exactly_what_the_list_with_the_same_filter_has(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    monkeypatch.setattr(call_export, "CALLS_AT_ONCE", 3)
    await some_calls(billing)
    listed = (await billing.get("/v1/calls", limit=200, **query)).body["items"]

    lines = (await export(billing, "/v1/calls.jsonl", **query)).decode().splitlines()
    assert [json.loads(line) for line in lines] == listed

    rows = list(csv.DictReader(io.StringIO((await export(billing, "/v1/calls.csv", **query)).decode())))
    assert [row["record_id"] for row in rows] == [call["record_id"] for call in listed]
    for row, call in zip(rows, listed, strict=True):
        assert row["price"] == (call["price"] or "")
        assert row["emergency"] == str(call["emergency"]).lower()


async def test_every_call_is_of_one_kind(billing: Billing) -> None:
    await some_calls(billing)
    found: dict[str, list[str]] = {}
    for kind in ("charged", "free", "unrated", "emergency", "unanswered"):
        items = (await billing.get("/v1/calls", kind=kind)).body["items"]
        found[kind] = [item["record_id"][-2:] for item in items]
    assert {kind: len(ids) for kind, ids in found.items()} == {
        "charged": 8,
        "free": 0,
        "unrated": 1,
        "emergency": 1,
        "unanswered": 1,
    }


async def test_pages_of_a_number_lead_through_all_its_calls_once(billing: Billing) -> None:
    await some_calls(billing)
    await billing.deliver(call_record(20, **at(20), callee="0001"))  # on both sides
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await billing.get("/v1/calls", number="0001", limit=3, **cursor)).body
        seen += [item["record_id"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    everything = (await billing.get("/v1/calls", limit=200)).body["items"]
    wanted = [call["record_id"] for call in everything if "0001" in (call["caller"], call["callee"])]
    assert seen == wanted
    assert len(wanted) == 11


@pytest.mark.parametrize("start", ["=1+1", "+41", "-1", "@SUM(A1)", "\t=1"])
async def test_a_text_is_no_formula_for_a_spreadsheet(billing: Billing, start: str) -> None:
    await billing.add_account("0001")
    reason = f'{start},"quoted"\r\nand more'
    await billing.deliver(call_record(1, reason=reason, callee=start.strip()))
    (row,) = csv.DictReader(
        io.StringIO((await export(billing, "/v1/calls.csv")).decode(), newline=""), strict=True
    )
    assert row["reason"] == f"'{reason}"
    assert row["callee"] == f"'{start.strip()}"
    assert json.loads(await export(billing, "/v1/calls.jsonl"))["reason"] == reason


async def test_an_export_of_nothing_is_an_empty_file(billing: Billing) -> None:
    assert await export(billing, "/v1/calls.jsonl") == b""
    assert (await export(billing, "/v1/calls.csv")).startswith(b"record_id,call_id,")


@pytest.mark.parametrize(
    ("query", "wrong"),
    [({"limit": "5"}, "limit"), ({"kind": "strange"}, "kind"), ({"account": "x"}, "account")],
)
async def test_a_filter_without_sense_is_refused(billing: Billing, query: dict[str, Any], wrong: str) -> None:
    for path in ("/v1/calls.csv", "/v1/calls.jsonl"):
        answer = await billing.get(path, **query)
        assert (answer.status, set(answer.fields())) == (422, {wrong})


async def test_a_file_that_breaks_off_does_not_look_whole(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_export, "CALLS_AT_ONCE", 3)
    await some_calls(billing)
    fetch, asked = call_export.list_calls, 0

    def away_at_the_third(*arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise DatabaseUnavailable("away")
        return fetch(*arguments, **named)

    monkeypatch.setattr(call_export, "list_calls", away_at_the_third)
    with pytest.raises(aiohttp.ClientError):
        await export(billing, "/v1/calls.jsonl")
    monkeypatch.setattr(call_export, "list_calls", fetch)
    assert len((await export(billing, "/v1/calls.jsonl")).splitlines()) == 11


async def test_the_head_of_a_stream_alone_is_refused(billing: Billing) -> None:
    await some_calls(billing)
    for path, status in (("/v1/calls.csv", 405), ("/v1/calls", 200)):
        async with billing.client.head(path, headers=HEADERS) as response:
            assert (response.status, await response.read()) == (status, b"")

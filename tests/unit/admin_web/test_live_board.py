"""The live board: what the exchange said last, and who is told of it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from admin_web.event_stream import ServerSentEvent
from admin_web.exchange_feed import apply_event
from admin_web.live_board import LiveBoard

AT = "2026-11-21T20:00:00.000000Z"


def call(call_id: str, state: str = "answered", invited_at: str = AT) -> dict[str, Any]:
    return {
        "id": call_id,
        "call_id": f"{call_id}@host",
        "caller": "0001",
        "callee": "0002",
        "state": state,
        "emergency": False,
        "invited_at": invited_at,
        "ringing_at": None,
        "answered_at": None,
    }


def binding(number: str, source: str = "192.0.2.1:5060") -> dict[str, Any]:
    return {
        "number": number,
        "contact": f"sip:{number}@192.0.2.1",
        "transport": "UDP",
        "source": source,
        "user_agent": None,
        "registered_at": AT,
        "expires_at": AT,
    }


def tell(board: LiveBoard, name: str, data: Any) -> None:
    apply_event(board, ServerSentEvent(name, json.dumps(data)))


@pytest.fixture
def board() -> LiveBoard:
    board = LiveBoard()
    tell(
        board,
        "snapshot",
        {"calls": [call("a"), call("gone", "ended")], "registrations": [binding("0002"), binding("0001")]},
    )
    return board


def test_before_the_first_snapshot_nothing_is_known() -> None:
    board = LiveBoard()
    assert (board.connected, board.call_count, board.phone_count) == (False, None, None)


def test_a_snapshot_replaces_everything(board: LiveBoard) -> None:
    tell(board, "snapshot", {"calls": [call("b")], "registrations": []})
    assert [entry.id for entry in board.calls] == ["b"]
    assert board.registrations == []


def test_calls_come_change_and_go_newest_first(board: LiveBoard) -> None:
    tell(board, "call", call("b", "inviting", "2026-11-21T20:00:05Z"))
    assert [(entry.id, entry.state.value) for entry in board.calls] == [("b", "inviting"), ("a", "answered")]
    tell(board, "call", call("b", "ringing", "2026-11-21T20:00:05Z"))
    assert board.calls[0].state.value == "ringing"
    tell(board, "call", call("a", "ended"))
    tell(board, "call", call("never seen", "ended"))
    assert [entry.id for entry in board.calls] == ["b"]


def test_phones_are_listed_by_number_with_all_their_bindings(board: LiveBoard) -> None:
    tell(
        board,
        "registration",
        {"number": "0001", "registrations": [binding("0001"), binding("0001", "192.0.2.9:5060")]},
    )
    assert [(entry.number, entry.source) for entry in board.registrations] == [
        ("0001", "192.0.2.1:5060"),
        ("0001", "192.0.2.9:5060"),
        ("0002", "192.0.2.1:5060"),
    ]
    assert board.phone_count == 2
    tell(board, "registration", {"number": "0001", "registrations": []})
    assert [entry.number for entry in board.registrations] == ["0002"]


def test_only_the_part_that_changed_has_a_new_version(board: LiveBoard) -> None:
    before = board.version
    tell(board, "call", call("b"))
    assert board.version.calls != before.calls
    assert board.version.phones == before.phones


def test_a_lost_exchange_leaves_nothing_old_on_the_board(board: LiveBoard) -> None:
    board.lose("The exchange can't be reached.")
    assert (board.calls, board.registrations, board.call_count) == ([], [], None)
    assert board.problem == "The exchange can't be reached."


def test_losing_it_again_for_the_same_reason_is_no_news(board: LiveBoard) -> None:
    board.lose("away")
    before = board.version
    board.lose("away")
    assert board.version == before


def test_kinds_of_events_from_the_future_are_ignored(board: LiveBoard) -> None:
    before = board.version
    tell(board, "weather", {"sunny": True})
    assert board.version == before


@pytest.mark.parametrize("data", ["{}", "not json", '{"calls": 7, "registrations": []}', "null"])
def test_an_event_that_breaks_the_contract_is_refused(board: LiveBoard, data: str) -> None:
    with pytest.raises(ValidationError):
        apply_event(board, ServerSentEvent("snapshot", data))


def test_security_events_are_kept_newest_first_and_not_for_ever(board: LiveBoard) -> None:
    for number in range(board.MAX_SECURITY_EVENTS + 5):
        tell(board, "security", {"kind": "wrong_password", "source": str(number), "detail": "", "at": AT})
    assert len(board.security_events) == board.MAX_SECURITY_EVENTS
    assert board.security_events[0].source == str(board.MAX_SECURITY_EVENTS + 4)
    assert board.security_events[0].at == datetime(2026, 11, 21, 20, tzinfo=UTC)


async def test_every_waiting_reader_is_woken(board: LiveBoard) -> None:
    seen = board.version
    readers = [asyncio.ensure_future(board.wait_for_change(seen)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    tell(board, "call", call("b"))
    await asyncio.wait_for(asyncio.gather(*readers), 1)


async def test_a_reader_that_missed_a_change_does_not_wait(board: LiveBoard) -> None:
    seen = board.version
    tell(board, "call", call("b"))
    await asyncio.wait_for(board.wait_for_change(seen), 1)


async def test_closing_releases_the_readers(board: LiveBoard) -> None:
    reader = asyncio.ensure_future(board.wait_for_change(board.version))
    await asyncio.sleep(0)
    board.close()
    await asyncio.wait_for(reader, 1)
    await asyncio.wait_for(board.wait_for_change(board.version), 1)

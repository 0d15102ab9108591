"""Whatever order events come in, and however often, they make the same call."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.call_event import (
    CallEvent,
    CloseRequest,
    Contradiction,
    EventKind,
    EventPair,
    read_timestamp,
)
from billing_service.domain.errors import InvalidFields
from tests.support.examples import examples

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = CallEvent("1", EventKind.START, NOON, "70", "99988526423", "9933468278")
END = CallEvent("2", EventKind.END, NOON + timedelta(minutes=7), "70", None, None)

NUMBERS = st.text("0123456789", min_size=2, max_size=15)
IDENTIFIERS = st.one_of(st.integers(0, 2**62), st.text(min_size=1, max_size=128).filter(str.isprintable))
DOCUMENTS = st.fixed_dictionaries(
    {
        "id": IDENTIFIERS,
        "type": st.just("start"),
        "timestamp": st.integers(0, 190 * 365 * 86_400_000).map(
            lambda ms: (NOON.replace(year=2001) + timedelta(milliseconds=ms)).isoformat()
        ),
        "call_id": IDENTIFIERS,
        "source": NUMBERS,
        "destination": NUMBERS,
    }
)


def pair_of(*events: CallEvent) -> EventPair:
    pair = EventPair("70")
    for event in events:
        joined = pair.with_event(event, received_at=NOON)
        if isinstance(joined, EventPair):
            pair = joined
    return pair


@given(st.lists(st.sampled_from([START, END]), min_size=1, max_size=6))
@settings(max_examples=examples(50))
def test_repeats_and_order_make_no_difference(events: list[CallEvent]) -> None:
    pair = pair_of(*events)
    assert pair.start == (START if START in events else None)
    assert pair.end == (END if END in events else None)
    if pair.is_complete:
        assert pair.to_call(emergency=False).duration_us == 7 * 60 * 1_000_000


@given(DOCUMENTS)
@settings(max_examples=examples(100))
def test_an_event_survives_being_written_and_read(document: dict[str, object]) -> None:
    event = CallEvent.from_document(document)
    assert CallEvent.from_document(event.to_document()) == event
    assert CallEvent.from_document(event.to_document()).transaction_id == event.transaction_id


@given(
    st.dictionaries(
        st.sampled_from(["id", "type", "timestamp", "call_id", "source", "destination", "more"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=20),
            st.lists(st.none(), max_size=1),
        ),
    )
)
@settings(max_examples=examples(100))
def test_what_is_no_event_is_refused_and_every_missing_field_is_named(document: dict[str, object]) -> None:
    with pytest.raises(InvalidFields) as refused:
        CallEvent.from_document(document)
    named = {problem.field for problem in refused.value.problems}
    assert {"id", "type", "timestamp", "call_id"} - document.keys() <= named
    assert {"more"} & document.keys() <= named


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidFields) as refused:
        CallEvent.from_document(
            {"id": "", "type": "start", "timestamp": "noon", "call_id": None, "source": "1", "destination": 2}
        )
    assert [problem.field for problem in refused.value.problems] == [
        "id",
        "call_id",
        "timestamp",
        "source",
        "destination",
    ]


def test_an_end_needs_no_source_and_takes_no_destination() -> None:
    end = {"id": 2, "type": "end", "timestamp": "2026-11-21T12:07:00Z", "call_id": 70}
    assert CallEvent.from_document(end) == END
    with pytest.raises(InvalidFields, match="destination: the destination is given on the start only"):
        CallEvent.from_document({**end, "destination": "9933468278"})


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (CallEvent("3", EventKind.END, END.at + timedelta(seconds=1), "70", None, None), "another end"),
        (CallEvent("3", EventKind.START, NOON, "70", "21", START.destination), "another start"),
        (CallEvent("3", EventKind.START, NOON, "70", START.source, "21"), "another start"),
    ],
)
def test_a_second_start_or_end_that_says_otherwise_is_refused(event: CallEvent, reason: str) -> None:
    refused = pair_of(START, END).with_event(event, received_at=NOON)
    assert isinstance(refused, Contradiction)
    assert reason in refused.reason


@pytest.mark.parametrize("first", [START, END])
def test_an_end_before_the_start_is_refused_in_either_order(first: CallEvent) -> None:
    early_end = CallEvent("2", EventKind.END, NOON - timedelta(seconds=1), "70", None, None)
    events = [START, early_end] if first is START else [early_end, START]
    refused = pair_of(events[0]).with_event(events[1], received_at=NOON)
    assert refused == Contradiction("the end is before the start")


def test_an_end_of_another_source_is_refused() -> None:
    other = CallEvent("2", EventKind.END, END.at, "70", "21", None)
    assert isinstance(pair_of(START).with_event(other, received_at=NOON), Contradiction)
    assert isinstance(pair_of(other).with_event(START, received_at=NOON), Contradiction)


def test_an_event_of_the_day_after_tomorrow_is_refused() -> None:
    refused = EventPair("70").with_event(END, received_at=END.at - timedelta(hours=24, seconds=1))
    assert isinstance(refused, Contradiction)
    assert "clock" in refused.reason


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-11-21T20:00:00Z", "America/Sao_Paulo", "2026-11-21T20:00:00+00:00"),
        ("2026-11-21T20:00:00", "America/Sao_Paulo", "2026-11-21T23:00:00+00:00"),
        ("2026-11-21 20:00:00.123456789", "UTC", "2026-11-21T20:00:00.123456+00:00"),
        ("2026-11-21t20:00:00+0100", "UTC", "2026-11-21T19:00:00+00:00"),
        # Shown twice: the first. Skipped: the instant of the change.
        ("2026-10-25T02:30:00", "Europe/Zurich", "2026-10-25T00:30:00+00:00"),
        ("2026-03-29T02:30:00", "Europe/Zurich", "2026-03-29T01:00:00+00:00"),
    ],
)
def test_a_timestamp_without_offset_is_what_the_wall_clock_of_the_zone_shows(
    text: str, zone: str, instant: str
) -> None:
    assert read_timestamp(text, ZoneInfo(zone)).isoformat() == instant


@pytest.mark.parametrize(
    "text",
    [
        None,
        1795291200,
        "",
        "2026-11-21",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00",
        "2026-11-21T24:00:00Z",
        "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00",
        "2026-11-21T20:00:00+99:00",
        "٢026-11-21T20:00:00Z",
    ],
)
def test_what_is_no_instant_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="instant"):
        read_timestamp(text, ZoneInfo("Europe/Zurich"))


def test_a_close_request_survives_being_written_and_read_and_names_what_is_wrong() -> None:
    request = CloseRequest("9991", 2, 2018)
    assert CloseRequest.from_document(request.to_document()) == request
    with pytest.raises(InvalidFields) as refused:
        CloseRequest.from_document({"subscriber": "9", "month": 13, "year": True, "day": 1})
    assert [problem.field for problem in refused.value.problems] == ["subscriber", "month", "year", "day"]

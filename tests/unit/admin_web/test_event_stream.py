"""The parser of server-sent events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.event_stream import EventStreamParser, ServerSentEvent

STREAM = (
    '\ufeffevent: snapshot\ndata: {"calls": []}\n\n'
    ": a comment keeps the connection alive\n\n"
    "event: call\r\ndata: eins\r\ndata: zwei – ü\r\n\r\n"
    "data:no space\rid: 7\rretry: 10\runknown: x\r\r"
    "event: without data\n\n"
    "data\n\n"
    "event: unfinished\ndata: never told\n"
).encode()
EVENTS = [
    ServerSentEvent("snapshot", '{"calls": []}'),
    ServerSentEvent("call", "eins\nzwei – ü"),
    ServerSentEvent("message", "no space"),
    ServerSentEvent("message", ""),
]


def test_a_stream_in_one_piece() -> None:
    assert EventStreamParser().receive(STREAM) == EVENTS


def test_a_stream_byte_by_byte() -> None:
    parser = EventStreamParser()
    assert [event for byte in STREAM for event in parser.receive(bytes([byte]))] == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere(cuts: list[int]) -> None:
    parser = EventStreamParser()
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(places)]
    assert [event for piece in pieces for event in parser.receive(piece)] == EVENTS


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_never_breaks_it(chunks: list[bytes]) -> None:
    parser = EventStreamParser()
    for chunk in chunks:
        parser.receive(chunk)
    # Whatever was left open ends here, and after that the parser understands again.
    parser.receive(b"\n\n")
    assert parser.receive(b"event: call\ndata: 1\n\n") == [ServerSentEvent("call", "1")]


@pytest.mark.parametrize("size", [10_000_000])
def test_a_snapshot_of_many_megabytes_in_small_chunks_is_put_together(size: int) -> None:
    parser = EventStreamParser()
    parser.receive(b"data: ")
    for _ in range(size // 16_384):
        assert parser.receive(b"x" * 16_384) == []
    (event,) = parser.receive(b"\n\n")
    assert len(event.data) == size // 16_384 * 16_384

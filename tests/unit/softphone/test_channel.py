"""Lines over a socket pair."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softphone.engine.channel import MAX_LINE, Channel, ChannelClosedError, LineBuffer


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = (Channel(end) for end in socket.socketpair())
    yield left, right
    left.close()
    right.close()


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], piece: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    buffer = LineBuffer()

    received = [
        line for start in range(0, len(stream), piece) for line in buffer.feed(stream[start : start + piece])
    ]

    assert received == lines


def test_a_line_without_end_is_refused() -> None:
    buffer = LineBuffer()
    buffer.feed(b"x" * MAX_LINE)

    with pytest.raises(ChannelClosedError):
        buffer.feed(b"x")


def test_lines_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    left.send(b"one\n")
    left.send(b"two\nthr")

    assert right.receive() == [b"one", b"two"]
    left.send(b"ee\n")
    assert right.receive() == [b"three"]
    assert right.receive() == []
    assert not right.closed


def test_the_last_lines_arrive_before_the_end(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    left.send(b"goodbye\n")
    left.close()

    assert right.wait_readable(1)
    assert right.receive() == [b"goodbye"]
    assert right.closed


def test_sending_to_an_end_that_is_gone_is_told(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    right.close()

    with pytest.raises(ChannelClosedError):
        left.send(b"anybody?\n")


def test_nothing_to_read_is_not_waited_for_longer_than_asked(ends: tuple[Channel, Channel]) -> None:
    left, _ = ends

    assert not left.wait_readable(0)
    assert not left.wait_readable(-1)

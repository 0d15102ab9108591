"""Messages that come alone are answered at once; those that come close to each other, in rounds."""

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.transport.rounds import Rounds
from tests.support.examples import examples

LENGTH_S = 0.04
ROOM = 4000
BURST = 256


def usual(*, room: int = ROOM, burst: int = BURST) -> Rounds:
    return Rounds(length_s=LENGTH_S, room=room, burst=burst)


def looks(rounds: Rounds, rate: float, *, seconds: float = 1.0) -> list[tuple[float, int]]:
    """Let messages come at a steady rate; return when the socket was looked at and what was found there."""
    arrivals = [index / rate for index in range(int(rate * seconds))]
    seen: list[tuple[float, int]] = []
    read = 0
    look_at: float | None = None
    while read < len(arrivals):
        now = arrivals[read] if look_at is None else look_at
        found = bisect_right(arrivals, now) - read
        read += found
        seen.append((now, found))
        look_at = rounds.next_look(found, now)
    return seen


@pytest.mark.parametrize("rate", [1, 50, 150, 300])
def test_each_message_is_read_as_it_comes_while_they_are_far_between(rate: float) -> None:
    assert {found for _, found in looks(usual(), rate)} == {1}


@pytest.mark.parametrize("rate", [500, 2400, 6000])
def test_under_load_the_socket_is_looked_at_once_a_round(rate: float) -> None:
    seen = looks(usual(), rate, seconds=3)[20:]
    gaps = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert gaps == pytest.approx([LENGTH_S] * len(gaps))


@pytest.mark.parametrize("length_s", [0.01, 0.02, 0.1])
def test_the_length_of_a_round_is_a_setting(length_s: float) -> None:
    seen = looks(Rounds(length_s=length_s, room=ROOM, burst=BURST), 1200, seconds=10)[50:]
    gaps = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert gaps == pytest.approx([length_s] * len(gaps))


def test_without_rounds_each_message_is_read_as_it_comes_whatever_the_load() -> None:
    assert {found for _, found in looks(Rounds(length_s=0, room=ROOM, burst=BURST), 8000)} == {1}


def test_when_it_grows_quiet_messages_are_read_as_they_come() -> None:
    rounds = usual()
    assert rounds.next_look(16, 1.0) is not None
    assert rounds.next_look(8, 1.04) == pytest.approx(1.08)
    assert rounds.next_look(7, 1.08) is None
    # What was counted before does not make the next few messages a crowd.
    assert rounds.next_look(15, 1.081) is None


def test_a_round_without_any_message_is_the_last() -> None:
    rounds = usual()
    assert rounds.next_look(16, 1.0) is not None
    assert rounds.next_look(0, 1.04) is None


def test_what_a_look_leaves_unread_is_read_at_once() -> None:
    rounds = usual(room=4 * ROOM)
    assert rounds.next_look(BURST, 1.0) == 1.0
    assert rounds.next_look(BURST, 1.04) == 1.04
    assert rounds.next_look(BURST - 1, 1.045) == pytest.approx(1.085)


@given(st.floats(500, 50_000), st.integers(32, 4000))
@settings(max_examples=examples(50))
def test_no_more_comes_in_a_round_than_the_kernel_has_room_for(rate: float, room: int) -> None:
    for _, found in looks(usual(room=room, burst=ROOM), rate, seconds=0.5)[20:]:
        assert found <= max(16, room / 2)

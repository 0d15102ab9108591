"""Messages that come alone are answered at once; those that come close to each other, in rounds of 20 ms."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.transport.rounds import Rounds
from tests.support.examples import examples

ROOM = 1000
BURST = 256


def looks(rounds: Rounds, rate: float, *, seconds: float = 1.0) -> list[tuple[float, int]]:
    """Let messages come at a steady rate; return when the socket was looked at and what was found there."""
    arrivals = [index / rate for index in range(int(rate * seconds))]
    seen: list[tuple[float, int]] = []
    read = 0
    look_at: float | None = None
    while read < len(arrivals):
        now = arrivals[read] if look_at is None else look_at
        found = sum(arrival <= now for arrival in arrivals[read : read + 4 * ROOM])
        read += found
        seen.append((now, found))
        look_at = rounds.next_look(found, now)
    return seen


@pytest.mark.parametrize("rate", [1, 50, 150, 300])
def test_each_message_is_read_as_it_comes_while_they_are_far_between(rate: float) -> None:
    assert {found for _, found in looks(Rounds(room=ROOM, burst=BURST), rate)} == {1}


@pytest.mark.parametrize("rate", [500, 2400, 8000])
def test_under_load_the_socket_is_looked_at_every_20_ms(rate: float) -> None:
    seen = looks(Rounds(room=ROOM, burst=BURST), rate)[10:]
    gaps = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert gaps == pytest.approx([0.02] * len(gaps))


def test_when_it_grows_quiet_messages_are_read_as_they_come() -> None:
    rounds = Rounds(room=ROOM, burst=BURST)
    assert rounds.next_look(8, 1.0) is not None
    assert rounds.next_look(4, 1.02) == pytest.approx(1.04)
    assert rounds.next_look(3, 1.04) is None
    # What was counted before does not make the next few messages a crowd.
    assert rounds.next_look(7, 1.041) is None


def test_a_round_without_any_message_is_the_last() -> None:
    rounds = Rounds(room=ROOM, burst=BURST)
    assert rounds.next_look(8, 1.0) is not None
    assert rounds.next_look(0, 1.02) is None


def test_what_a_look_leaves_unread_is_read_at_once() -> None:
    rounds = Rounds(room=8 * ROOM, burst=BURST)
    assert rounds.next_look(BURST, 1.0) == 1.0
    assert rounds.next_look(BURST, 1.02) == 1.02
    assert rounds.next_look(BURST - 1, 1.025) == pytest.approx(1.045)


@given(st.floats(500, 50_000), st.integers(32, 4000))
@settings(max_examples=examples(50))
def test_no_more_comes_in_a_round_than_the_kernel_has_room_for(rate: float, room: int) -> None:
    for _, found in looks(Rounds(room=room, burst=4 * ROOM), rate, seconds=0.3)[10:]:
        assert found <= max(8, room / 2)

"""Sources: guesses lock a number out at one address for a while; who looks for numbers is not answered."""

import pytest

from sip_proxy.core.authentication.sources import (
    FAILURE_SPAN_S,
    LONGEST_LOCKOUT_S,
    MOST_ASKED_FOR,
    MOST_FAILURES,
    MOST_GUESSED_AT,
    SEARCH_SPAN_S,
    SHORTEST_LOCKOUT_S,
    SILENCE_S,
    TRUST_S,
    Sources,
    source_of,
)

HERE, THERE = "192.0.2.1", "192.0.2.2"


def guess(sources: Sources, now: float, times: int = MOST_FAILURES) -> float:
    return [sources.failed(HERE, "0001", now) for _ in range(times)][-1]


def test_as_many_wrong_passwords_as_a_person_mistypes_lock_nothing() -> None:
    sources = Sources()

    assert guess(sources, 0.0, MOST_FAILURES - 1) == 0.0
    assert not sources.is_locked_out(HERE, "0001", 0.0)


def test_more_of_them_lock_the_number_out_at_this_address_for_a_minute() -> None:
    sources = Sources()

    assert guess(sources, 0.0) == SHORTEST_LOCKOUT_S
    assert sources.is_locked_out(HERE, "0001", SHORTEST_LOCKOUT_S - 0.1)
    assert not sources.is_locked_out(HERE, "0001", SHORTEST_LOCKOUT_S)
    assert not sources.is_locked_out(HERE, "0002", 1.0)
    assert not sources.is_locked_out(THERE, "0001", 1.0)


def test_slow_guesses_do_not_add_up() -> None:
    sources = Sources()
    for attempt in range(10 * MOST_FAILURES):
        assert sources.failed(HERE, "0001", attempt * (FAILURE_SPAN_S / MOST_FAILURES + 1)) == 0.0


def test_who_goes_on_is_locked_out_for_longer_and_longer() -> None:
    sources = Sources()
    now, lengths = 0.0, []
    for _ in range(8):
        lengths.append(guess(sources, now))
        now += lengths[-1]

    assert lengths[:3] == [SHORTEST_LOCKOUT_S, 2 * SHORTEST_LOCKOUT_S, 4 * SHORTEST_LOCKOUT_S]
    assert lengths[-1] == LONGEST_LOCKOUT_S


def test_the_right_password_makes_everything_good() -> None:
    sources = Sources()
    guess(sources, 0.0, MOST_FAILURES - 1)
    sources.authenticated(HERE, "0001", 1.0)

    assert guess(sources, 2.0, MOST_FAILURES - 1) == 0.0


def test_trust_lasts_as_long_as_a_registration() -> None:
    sources = Sources()
    assert not sources.is_trusted(HERE, 0.0)
    sources.authenticated(HERE, "0001", 0.0)

    assert sources.is_trusted(HERE, TRUST_S - 1)
    assert not sources.is_trusted(THERE, 1.0)
    assert not sources.is_trusted(HERE, TRUST_S)


ENOUGH = 2 * MOST_ASKED_FOR
"""Numbers that are too many, though some count as one."""


def search(sources: Sources, now: float, numbers: int = ENOUGH) -> bool:
    """Ask for that many numbers; tell whether that was too much."""
    return any(sources.asked_for(HERE, f"{number:04}", now) for number in range(numbers))


def is_silenced(sources: Sources, now: float, *, has_credentials: bool = False) -> bool:
    return sources.is_silenced(HERE, now, has_credentials=has_credentials)


def test_who_asks_for_many_numbers_hears_no_more_challenges_for_a_while() -> None:
    sources = Sources()

    assert not search(sources, 0.0, MOST_ASKED_FOR - 1)
    assert not is_silenced(sources, 0.0)
    assert search(sources, 0.0)
    assert is_silenced(sources, SILENCE_S - 1)
    assert not sources.is_silenced(THERE, 1.0, has_credentials=False)
    assert not is_silenced(sources, SILENCE_S)


def test_a_house_whose_phones_start_all_at_once_can_still_show_its_passwords() -> None:
    sources = Sources()
    search(sources, 0.0)
    assert not is_silenced(sources, 1.0, has_credentials=True)

    sources.authenticated(HERE, "0001", 1.0)
    assert not is_silenced(sources, 1.0)
    assert not search(sources, 1.0)


def test_the_same_number_again_and_again_is_no_search() -> None:
    """A phone that was never told its password asks all day long."""
    sources = Sources()

    assert not any(sources.asked_for(HERE, "0001", 0.0) for _ in range(10 * MOST_ASKED_FOR))


def test_numbers_now_and_then_are_nothing() -> None:
    sources = Sources()
    for attempt in range(10 * MOST_ASKED_FOR):
        now = attempt * (SEARCH_SPAN_S / MOST_ASKED_FOR + 1)
        assert not sources.asked_for(HERE, f"{attempt:04}", now)


def guess_at(sources: Sources, now: float, numbers: int = 2 * MOST_GUESSED_AT) -> bool:
    """Give wrong credentials for that many numbers; tell whether that was too much."""
    return any(sources.guessed_at(HERE, f"{number:04}", now) for number in range(numbers))


def test_who_guesses_the_passwords_of_many_numbers_hears_nothing_for_a_while() -> None:
    """One guess for each of them stays below every number's own lockout."""
    sources = Sources()

    assert not guess_at(sources, 0.0, MOST_GUESSED_AT - 1)
    assert not any(sources.guessed_at(HERE, "0001", 0.0) for _ in range(10 * MOST_GUESSED_AT))
    assert guess_at(sources, 0.0)
    for has_credentials in (True, False):
        assert is_silenced(sources, SILENCE_S - 1, has_credentials=has_credentials)
        assert not is_silenced(sources, SILENCE_S, has_credentials=has_credentials)


def test_a_house_with_phones_in_it_is_never_silenced() -> None:
    sources = Sources()
    sources.authenticated(HERE, "0001", 0.0)

    assert not search(sources, 1.0)
    assert not guess_at(sources, 1.0)


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_the_source_of_an_address_is_what_one_line_has(host: str, source: str) -> None:
    """RFC 6177: a site has a /64 or more, so who guesses there has any number of addresses."""
    assert source_of(host) == source


def test_guesses_and_searches_from_one_ipv6_subnet_count_together() -> None:
    sources = Sources()
    for number in range(ENOUGH):
        sources.failed(f"2001:db8::{number:x}", "0001", 0.0)
        sources.asked_for(f"2001:db8::{number:x}", f"{number:04}", 0.0)

    assert sources.is_locked_out("2001:db8::ffff", "0001", 1.0)
    assert sources.is_silenced("2001:db8::ffff", 1.0, has_credentials=False)
    assert not sources.is_locked_out("2001:db8:0:1::1", "0001", 1.0)
    assert not sources.is_silenced("2001:db8:0:1::1", 1.0, has_credentials=False)
    sources.authenticated("2001:db8::a", "0001", 1.0)
    assert not sources.is_locked_out("2001:db8::ffff", "0001", 1.0)
    assert sources.is_trusted("2001:db8::ffff", 1.0)


def test_a_tool_is_noted_once_in_a_while() -> None:
    sources = Sources()

    assert [sources.is_first_sight(HERE, now) for now in (0.0, 1.0, SILENCE_S)] == [True, False, True]
    assert not is_silenced(sources, 1.0)


def test_memory_stays_bounded_in_a_flood_from_everywhere() -> None:
    sources = Sources(capacity=100)
    for number in range(1000):
        sources.failed(f"h{number}", "0001", 0.0)
        sources.asked_for(f"h{number}", "0001", 0.0)
        sources.authenticated(f"h{number}", "0001", 0.0)

    assert len(sources._trusted) <= 100
    assert len(sources._failures) + len(sources._searches) <= 100


def test_what_is_over_makes_room_for_what_is_not() -> None:
    sources = Sources(capacity=20)
    for number in range(15):
        sources.failed(f"old{number}", "0001", 0.0)
    later = LONGEST_LOCKOUT_S + 1
    guess(sources, later)
    for number in range(10):
        sources.failed(f"new{number}", "0001", later)

    assert sources.is_locked_out(HERE, "0001", later)

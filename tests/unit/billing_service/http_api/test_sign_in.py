"""How often a password may be guessed."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_service.http_api.sign_in import (
    MOST_FAILURES_FROM_ANYWHERE,
    MOST_FAILURES_FROM_ONE_PLACE,
    MOST_REMEMBERED,
    WITHIN,
    FailedLogins,
    RecentFailures,
    place_of,
)

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)
HERE, THERE = "192.0.2.1", "192.0.2.2"


def fail(failed: FailedLogins, login: str, times: int, place: str = HERE, at: datetime = NOW) -> None:
    for _ in range(times):
        failed.note(login, place, at)


def test_a_login_may_fail_ten_times_a_minute_at_one_place() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES_FROM_ONE_PLACE - 1)
    assert failed.wait_s("ann", HERE, NOW) == 0
    failed.note("ann", HERE, NOW)
    assert failed.wait_s("ann", HERE, NOW) == 61
    assert failed.wait_s("ann", HERE, NOW + timedelta(seconds=59)) == 2
    assert failed.wait_s("ann", HERE, NOW + WITHIN) == 0


def test_who_guesses_locks_nobody_out_elsewhere() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES_FROM_ONE_PLACE)
    assert failed.wait_s("ann", THERE, NOW) == 0


def test_guessing_from_many_places_comes_to_an_end() -> None:
    failed = FailedLogins()
    for number in range(MOST_FAILURES_FROM_ANYWHERE):
        assert failed.wait_s("ann", THERE, NOW) == 0
        failed.note("ann", f"198.51.100.{number}", NOW)
    assert failed.wait_s("ann", THERE, NOW) == 61
    assert failed.wait_s("bob", THERE, NOW) == 0


def test_failures_are_forgotten_one_by_one() -> None:
    failed = FailedLogins()
    for second in range(MOST_FAILURES_FROM_ONE_PLACE):
        failed.note("ann", HERE, NOW + timedelta(seconds=second))
    assert failed.wait_s("ann", HERE, NOW + WITHIN) == 0
    failed.note("ann", HERE, NOW + WITHIN)
    assert failed.wait_s("ann", HERE, NOW + WITHIN) > 0


def test_logins_do_not_hinder_each_other() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES_FROM_ONE_PLACE)
    assert failed.wait_s("bob", HERE, NOW) == 0


def test_success_clears_the_past() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES_FROM_ONE_PLACE)
    failed.forget("ann", HERE)
    failed.forget("nobody", HERE)
    assert failed.wait_s("ann", HERE, NOW) == 0


def test_made_up_logins_do_not_fill_the_memory() -> None:
    failed = RecentFailures(MOST_FAILURES_FROM_ONE_PLACE)
    for number in range(MOST_REMEMBERED + 100):
        failed.note(f"login-{number}", NOW)
    assert len(failed._failures) == MOST_REMEMBERED


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
    ],
)
def test_one_host_is_one_place(address: str, place: str) -> None:
    assert place_of(address) == place


def test_what_is_no_address_is_no_place() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        place_of("somewhere")

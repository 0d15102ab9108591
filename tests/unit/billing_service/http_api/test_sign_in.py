"""How often a password may be guessed."""

from datetime import UTC, datetime, timedelta

from billing_service.http_api.sign_in import MOST_FAILURES, MOST_LOGINS_REMEMBERED, WITHIN, FailedLogins

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)


def fail(failed: FailedLogins, login: str, times: int, at: datetime = NOW) -> None:
    for _ in range(times):
        failed.note(login, at)


def test_a_login_may_fail_ten_times_a_minute() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES - 1)
    assert failed.wait_s("ann", NOW) == 0
    failed.note("ann", NOW)
    assert failed.wait_s("ann", NOW) == 61
    assert failed.wait_s("ann", NOW + timedelta(seconds=59)) == 2
    assert failed.wait_s("ann", NOW + WITHIN) == 0


def test_failures_are_forgotten_one_by_one() -> None:
    failed = FailedLogins()
    for second in range(MOST_FAILURES):
        failed.note("ann", NOW + timedelta(seconds=second))
    assert failed.wait_s("ann", NOW + WITHIN) == 0
    failed.note("ann", NOW + WITHIN)
    assert failed.wait_s("ann", NOW + WITHIN) > 0


def test_logins_do_not_hinder_each_other() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES)
    assert failed.wait_s("bob", NOW) == 0


def test_success_clears_the_past() -> None:
    failed = FailedLogins()
    fail(failed, "ann", MOST_FAILURES)
    failed.forget("ann")
    failed.forget("nobody")
    assert failed.wait_s("ann", NOW) == 0


def test_made_up_logins_do_not_fill_the_memory() -> None:
    failed = FailedLogins()
    for number in range(MOST_LOGINS_REMEMBERED + 100):
        failed.note(f"login-{number}", NOW)
    assert len(failed._failures) == MOST_LOGINS_REMEMBERED

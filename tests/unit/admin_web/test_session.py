"""Sessions: who is recognised, for how long, and what ends it."""

from datetime import UTC, datetime, timedelta

import pytest

from admin_web.session import Session, SessionKeeper, SessionOver

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def keeper_with(clock: Clock, secret: str = "secret") -> SessionKeeper:
    return SessionKeeper(
        secret=secret, clock=clock, idle_limit=timedelta(minutes=10), lifetime=timedelta(hours=12)
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(clock: Clock) -> SessionKeeper:
    return keeper_with(clock)


@pytest.fixture
def session(keeper: SessionKeeper) -> Session:
    return keeper.begin(login="ada", name="Ada", role="administrator")


def test_a_cookie_brings_its_session_back(keeper: SessionKeeper, session: Session) -> None:
    assert keeper.find(keeper.cookie_value(session)) == session


def test_every_session_has_its_own_id_and_csrf_token(keeper: SessionKeeper, session: Session) -> None:
    other = keeper.begin(login="ada", name="Ada", role="administrator")
    assert other.id != session.id
    assert other.csrf_token != session.csrf_token


@pytest.mark.parametrize("cookie", [None, "", "x", "e30.AAAA", "a.b.c", "\x00", "é" * 50])
def test_what_is_no_cookie_of_ours_finds_nobody(keeper: SessionKeeper, cookie: str | None) -> None:
    assert keeper.find(cookie) is None


def test_a_changed_cookie_finds_nobody(keeper: SessionKeeper, session: Session) -> None:
    cookie = keeper.cookie_value(session)
    for position in range(0, len(cookie), 7):
        changed = cookie[:position] + ("A" if cookie[position] != "A" else "B") + cookie[position + 1 :]
        assert keeper.find(changed) is None, position


def test_a_cookie_signed_with_another_secret_finds_nobody(clock: Clock, session: Session) -> None:
    other = keeper_with(clock, "another secret")
    cookie = other.cookie_value(other.begin(login="eve", name="Eve", role="administrator"))
    assert keeper_with(clock).find(cookie) is None


def test_ten_idle_minutes_end_a_session_and_not_a_second_less(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    cookie = keeper.cookie_value(session)
    clock.advance(minutes=9, seconds=59)
    assert keeper.find(cookie) == session
    clock.advance(seconds=1)
    assert keeper.find(cookie) is None


def test_looking_is_no_activity_but_touching_is(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    cookie = keeper.cookie_value(session)
    clock.advance(minutes=9)
    assert keeper.find(cookie) == session
    assert keeper.remaining(session) == timedelta(minutes=1)
    keeper.touch(session)
    clock.advance(minutes=9)
    # Activity of one tab holds for the older cookie of another one.
    assert keeper.find(cookie) == session


def test_even_a_busy_session_ends_after_its_lifetime(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    for _ in range(12 * 60 // 5):
        clock.advance(minutes=5)
        keeper.touch(session)
    assert keeper.find(keeper.cookie_value(session)) is None


def test_logging_out_holds_for_every_copy_of_the_cookie(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    copy = keeper.cookie_value(session)
    keeper.end(session)
    assert keeper.find(copy) is None
    keeper.touch(session)
    assert keeper.find(keeper.cookie_value(session)) is None
    clock.advance(minutes=30)
    keeper.begin(login="bob", name="Bob", role="viewer")
    assert keeper.find(copy) is None


def test_a_restart_logs_nobody_out_but_gives_no_time_either(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    clock.advance(minutes=4)
    keeper.touch(session)
    cookie = keeper.cookie_value(session)
    clock.advance(minutes=8)
    restarted = keeper_with(clock)
    found = restarted.find(cookie)
    assert found == session
    assert restarted.remaining(found) == timedelta(minutes=2)
    clock.advance(minutes=2)
    assert restarted.find(cookie) is None


def test_old_sessions_are_forgotten(keeper: SessionKeeper, clock: Clock) -> None:
    for _ in range(50):
        keeper.end(keeper.begin(login="ada", name="Ada", role="administrator"))
        clock.advance(minutes=11)
    assert len(keeper._active_at) <= 2
    assert len(keeper._ended_at) <= 2


def test_consoles_with_different_secrets_use_different_cookies(clock: Clock) -> None:
    assert keeper_with(clock, "one").cookie_name != keeper_with(clock, "two").cookie_name


def test_secrets_are_not_shown(session: Session) -> None:
    assert session.csrf_token not in repr(session)


def test_why_a_session_is_over_is_known(keeper: SessionKeeper, session: Session, clock: Clock) -> None:
    cookie = keeper.cookie_value(session)
    clock.advance(minutes=10)
    assert keeper.why_over(cookie) is SessionOver.IDLE
    assert keeper.why_over("forged") is None
    assert keeper.why_over(None) is None


def test_a_log_out_is_not_taken_for_idleness(keeper: SessionKeeper, session: Session, clock: Clock) -> None:
    keeper.end(session)
    assert keeper.why_over(keeper.cookie_value(session)) is SessionOver.ENDED


def test_the_end_of_the_lifetime_is_not_taken_for_idleness(
    keeper: SessionKeeper, session: Session, clock: Clock
) -> None:
    clock.advance(hours=12)
    keeper.touch(session)
    assert keeper.find(keeper.cookie_value(session)) is None
    assert keeper.why_over(keeper.cookie_value(session)) is SessionOver.ENDED

"""How many failed log-ins are too many."""

from datetime import UTC, datetime, timedelta

import pytest

from admin_web.login_limit import LoginLimit


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> LoginLimit:
    return LoginLimit(attempts=3, window=timedelta(minutes=5), clock=clock)


def test_attempts_beyond_the_limit_are_refused_with_the_time_to_wait(limit: LoginLimit, clock: Clock) -> None:
    assert [limit.begin("ada") for _ in range(3)] == [None, None, None]
    clock.now += timedelta(minutes=2)
    assert limit.begin("ada") == timedelta(minutes=3)


def test_others_are_not_held_back(limit: LoginLimit) -> None:
    for _ in range(4):
        limit.begin("ada")
    assert limit.begin("bob") is None


def test_after_the_window_it_goes_on(limit: LoginLimit, clock: Clock) -> None:
    for _ in range(3):
        limit.begin("ada")
    clock.now += timedelta(minutes=5)
    assert limit.begin("ada") is None


def test_refused_attempts_do_not_prolong_the_wait(limit: LoginLimit, clock: Clock) -> None:
    for _ in range(3):
        limit.begin("ada")
    for _ in range(4):
        clock.now += timedelta(minutes=1)
        assert limit.begin("ada") is not None
    clock.now += timedelta(minutes=1)
    assert limit.begin("ada") is None


def test_success_forgets_the_failures(limit: LoginLimit) -> None:
    for _ in range(3):
        limit.begin("ada")
    limit.succeed("ada")
    assert limit.begin("ada") is None


def test_an_attempt_without_an_answer_does_not_count(limit: LoginLimit) -> None:
    for _ in range(10):
        assert limit.begin("ada") is None
        limit.withdraw("ada")


def test_many_names_do_not_fill_the_memory(limit: LoginLimit) -> None:
    for number in range(limit.MAX_KEYS + 500):
        limit.begin(f"name {number}")
    assert len(limit._started_at) == limit.MAX_KEYS

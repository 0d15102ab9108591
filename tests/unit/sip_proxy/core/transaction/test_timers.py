"""Timers fire in the order of their instants, once, and not at all when cancelled."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.core.transaction.timers import Timer, TimerQueues


class Recorder:
    def __init__(self) -> None:
        self.fired: list[tuple[int, float]] = []

    def on_timer(self, event: int, now: float) -> None:
        self.fired.append((event, now))


def test_without_timers_there_is_no_deadline() -> None:
    assert TimerQueues().next_deadline() is None


def test_a_timer_fires_at_its_instant_and_not_before() -> None:
    timers, owner = TimerQueues(), Recorder()
    timers.start(2.0, owner, 1, 10.0)
    timers.expire(11.999)
    assert owner.fired == []
    assert timers.next_deadline() == 12.0
    timers.expire(12.0)
    timers.expire(13.0)
    assert owner.fired == [(1, 12.0)]
    assert timers.next_deadline() is None


def test_a_cancelled_timer_never_fires() -> None:
    timers, owner = TimerQueues(), Recorder()
    timers.start(1.0, owner, 1, 0.0).cancel()
    timers.start(1.0, owner, 2, 0.5)
    timers.expire(1.0)
    assert owner.fired == []
    assert timers.next_deadline() == 1.5
    timers.expire(9.0)
    assert owner.fired == [(2, 9.0)]


def test_a_timer_may_start_and_cancel_others_when_it_fires() -> None:
    timers = TimerQueues()
    fired = []

    class Chain:
        def __init__(self) -> None:
            self.victim: Timer | None = None

        def on_timer(self, event: int, now: float) -> None:
            fired.append(event)
            if event == 1:
                assert self.victim is not None
                self.victim.cancel()
                timers.start(0.0, self, 3, now)

    chain = Chain()
    timers.start(1.0, chain, 1, 0.0)
    chain.victim = timers.start(2.0, chain, 2, 0.0)
    timers.expire(5.0)
    assert fired == [1, 3]


def test_durations_that_nobody_uses_any_longer_cost_nothing() -> None:
    timers, owner = TimerQueues(), Recorder()
    for index in range(1000):
        timers.start(5.0 + index / 10, owner, index, 0.0)
    timers.start(200.0, owner, 1000, 0.0)
    while (deadline := timers.next_deadline()) is not None and deadline < 150.0:
        timers.expire(deadline)
        assert timers.durations <= 1001 - len(owner.fired) + 33
    timers.start(5.0, owner, 1001, 150.0)
    timers.expire(155.0)
    timers.expire(200.0)
    assert [event for event, _ in owner.fired] == [*range(1000), 1001, 1000]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0, 32.0]), st.floats(0, 10), st.booleans()), max_size=40)
)
def test_whatever_was_started_fires_in_order(plan: list[tuple[float, float, bool]]) -> None:
    timers, owner = TimerQueues(), Recorder()
    now = 0.0
    expected = []
    for index, (delay_s, step_s, is_cancelled) in enumerate(plan):
        now += step_s
        timer = timers.start(delay_s, owner, index, now)
        if is_cancelled:
            timer.cancel()
        else:
            expected.append((now + delay_s, index))
    while (deadline := timers.next_deadline()) is not None:
        timers.expire(deadline)
    assert sorted(at for _, at in owner.fired) == [at for _, at in owner.fired]
    assert sorted(index for index, _ in owner.fired) == sorted(index for _, index in expected)
    assert [at for _, at in owner.fired] == sorted(at for at, _ in expected)

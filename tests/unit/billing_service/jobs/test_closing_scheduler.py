"""When the closing runs, and what happens when it fails. The clock is a fake; nothing sleeps."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billing_service.jobs.closing_scheduler import FIRST_RETRY, LONGEST_RETRY, ClosingScheduler
from billing_service.jobs.daily_trigger import DailyTrigger
from billing_service.use_cases.close_bills import Closing

NOTHING = Closing((), ())
# Far enough ahead that a scheduler on the real clock starts none of these by itself.
NOW = datetime(2150, 6, 1, 12, tzinfo=UTC)


class FakeClosing:
    """Notes when it was asked to close, and does as it is told."""

    def __init__(self, *results: Closing | Exception) -> None:
        self.results = list(results)
        self.asked_as_of: list[datetime] = []
        self.release = asyncio.Event()
        self.release.set()
        self.should_stop: Callable[[], bool] = lambda: False

    async def __call__(self, as_of: datetime, should_stop: Callable[[], bool]) -> Closing:
        self.asked_as_of.append(as_of)
        self.should_stop = should_stop
        await self.release.wait()
        result = self.results.pop(0) if self.results else NOTHING
        if isinstance(result, Exception):
            raise result
        return result


def scheduler_of(closing: FakeClosing) -> ClosingScheduler:
    return ClosingScheduler(closing, closing_time=time(0, 0), zone=UTC, now=lambda: NOW)


def retry_at(scheduler: ClosingScheduler) -> datetime | None:
    job = scheduler._scheduler.get_job("retry")
    return None if job is None else job.next_run_time


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(poll(), timeout=10)


async def test_it_catches_up_at_start_and_then_waits_for_the_closing_time() -> None:
    closing = FakeClosing()
    scheduler = scheduler_of(closing)
    scheduler.start()
    await until(lambda: len(closing.asked_as_of) == 1)
    assert closing.asked_as_of == [NOW]
    job = scheduler._scheduler.get_job("closing")
    assert job.next_run_time.time() == time(0, 0)
    assert (job.coalesce, job.misfire_grace_time, job.max_instances) == (True, None, 1)
    await scheduler.stop()
    assert len(closing.asked_as_of) == 1


async def test_a_failure_is_tried_again_later_and_later() -> None:
    closing = FakeClosing(*(OSError("the database is away") for _ in range(9)))
    scheduler = scheduler_of(closing)
    scheduler._scheduler.start(paused=True)
    delays = []
    for _ in range(9):
        await scheduler.run_now()
        planned = retry_at(scheduler)
        assert planned is not None
        delays.append(planned - NOW)
    assert delays[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert delays[-1] == LONGEST_RETRY
    await scheduler.stop()


async def test_a_success_makes_the_next_failure_the_first_again() -> None:
    closing = FakeClosing(OSError("away"), OSError("away"), NOTHING, OSError("away"))
    scheduler = scheduler_of(closing)
    scheduler._scheduler.start(paused=True)
    for _ in range(4):
        await scheduler.run_now()
    assert retry_at(scheduler) == NOW + FIRST_RETRY
    await scheduler.stop()


async def test_two_closings_never_run_at_the_same_time() -> None:
    closing = FakeClosing()
    closing.release.clear()
    scheduler = scheduler_of(closing)
    scheduler._scheduler.start(paused=True)
    both: list[Awaitable[None]] = [asyncio.ensure_future(scheduler.run_now()) for _ in range(2)]
    await until(lambda: len(closing.asked_as_of) == 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(closing.asked_as_of) == 1
    closing.release.set()
    await asyncio.gather(*both)
    assert len(closing.asked_as_of) == 2
    await scheduler.stop()


async def test_stopping_tells_the_closing_and_waits_for_it() -> None:
    closing = FakeClosing()
    closing.release.clear()
    scheduler = scheduler_of(closing)
    scheduler.start()
    await until(lambda: len(closing.asked_as_of) == 1)
    assert not closing.should_stop()
    stopping = asyncio.ensure_future(scheduler.stop())
    await until(closing.should_stop)
    assert not stopping.done()
    closing.release.set()
    await asyncio.wait_for(stopping, timeout=10)
    await scheduler.run_now()
    assert len(closing.asked_as_of) == 1


async def test_a_closing_that_fails_while_stopping_plans_no_retry() -> None:
    closing = FakeClosing(OSError("away"))
    closing.release.clear()
    scheduler = scheduler_of(closing)
    scheduler.start()
    await until(lambda: len(closing.asked_as_of) == 1)
    stopping = asyncio.ensure_future(scheduler.stop())
    await until(closing.should_stop)
    closing.release.set()
    await stopping
    assert retry_at(scheduler) is None


def firings(trigger: DailyTrigger, start: datetime, count: int) -> list[str]:
    fired: list[datetime] = []
    now = start
    for _ in range(count):
        fired.append(trigger.get_next_fire_time(fired[-1] if fired else None, now))
        now = fired[-1]
    return [instant.isoformat() for instant in fired]


def test_the_trigger_fires_every_day_at_its_time_on_the_wall() -> None:
    trigger = DailyTrigger(time(0, 0), ZoneInfo("Europe/Zurich"))
    assert firings(trigger, datetime(2026, 3, 27, 23, tzinfo=UTC), 4) == [
        "2026-03-28T00:00:00+01:00",
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
        "2026-03-31T00:00:00+02:00",
    ]


def test_the_trigger_fires_at_the_change_when_the_clocks_skip_its_time() -> None:
    trigger = DailyTrigger(time(0, 0), ZoneInfo("Asia/Beirut"))
    assert firings(trigger, datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [
        "2026-03-29T01:00:00+03:00",
        "2026-03-30T00:00:00+03:00",
    ]


def test_the_trigger_fires_once_when_its_time_is_shown_twice() -> None:
    trigger = DailyTrigger(time(0, 30), ZoneInfo("America/Havana"))
    assert firings(trigger, datetime(2026, 10, 31, 12, tzinfo=UTC), 2) == [
        "2026-11-01T00:30:00-04:00",
        "2026-11-02T00:30:00-05:00",
    ]


def test_the_trigger_does_not_fire_for_the_past() -> None:
    trigger = DailyTrigger(time(3, 0), UTC)
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, noon) == datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert trigger.get_next_fire_time(noon - timedelta(days=30), noon) == datetime(
        2026, 11, 22, 3, tzinfo=UTC
    )

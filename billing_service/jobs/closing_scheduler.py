"""The daily closing: at start for whatever was missed, every day at its time, and again after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta, tzinfo
from typing import Final, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from billing_service.domain.money import Currency
from billing_service.jobs.closing_workers import close_with_workers
from billing_service.jobs.daily_trigger import DailyTrigger
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.close_bills import Closing
from billing_service.use_cases.tell_overdue_bills import tell_overdue_bills

FIRST_RETRY: Final = timedelta(seconds=10)
LONGEST_RETRY: Final = timedelta(minutes=15)

log = structlog.get_logger(__name__)


class CloseDue(Protocol):
    """Closes what is due as of an instant, off the event loop, until done or told to stop."""

    def __call__(self, as_of: datetime, should_stop: Callable[[], bool]) -> Awaitable[Closing]: ...


class ClosingScheduler:
    """Runs the closing for as long as the service runs.

    The closing catches up on everything that is due, so a firing that comes late is as good as one in time
    (`misfire_grace_time=None`), and several missed ones are one (`coalesce`). A failure is logged and tried
    again after a while, longer each time; what has been closed by then stays closed.
    """

    def __init__(
        self, close: CloseDue, *, closing_time: time, zone: tzinfo, now: Callable[[], datetime]
    ) -> None:
        self._close = close
        self._trigger = DailyTrigger(closing_time, zone)
        self._now = now
        self._retry_after = FIRST_RETRY
        self._stopping = False
        self._one_at_a_time = asyncio.Lock()
        self._scheduler = AsyncIOScheduler(
            timezone=zone, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )

    def start(self) -> None:
        """Begin, with a closing at once. Call it on the event loop."""
        self._scheduler.start()
        self._scheduler.add_job(self.run_now, id="catch-up")
        self._scheduler.add_job(self.run_now, self._trigger, id="closing")

    async def stop(self) -> None:
        """End; wait for the account that is being closed, not for all that are due."""
        self._stopping = True
        self._scheduler.remove_all_jobs()
        async with self._one_at_a_time:
            self._scheduler.shutdown(wait=False)
            # The scheduler does its part of the shutdown in the loop's next round.
            await asyncio.sleep(0)

    async def run_now(self) -> None:
        """Close what is due now. Never raises: a failure is logged and a retry planned."""
        async with self._one_at_a_time:
            if self._stopping:
                return
            as_of = self._now()
            try:
                closing = await self._close(as_of, lambda: self._stopping)
            except Exception as error:  # whatever it was, the next attempt may succeed
                log.exception("closing_failed", as_of=as_of.isoformat(), reason=str(error))
                self._plan_retry(as_of)
            else:
                self._retry_after = FIRST_RETRY
                log.info(
                    "closing_done",
                    as_of=as_of.isoformat(),
                    bills=len(closing.bills),
                    suspended=list(closing.suspended),
                )

    def _plan_retry(self, now: datetime) -> None:
        if self._stopping:
            return
        self._scheduler.add_job(
            self.run_now, "date", run_date=now + self._retry_after, id="retry", replace_existing=True
        )
        self._retry_after = min(2 * self._retry_after, LONGEST_RETRY)


def closing_scheduler(
    database: Database,
    *,
    closing_time: time,
    currency: Currency,
    zone: tzinfo,
    now: Callable[[], datetime],
) -> ClosingScheduler:
    """The scheduler of a service's closing, which works in the database's thread pool.

    It tells of overdue bills first, so that an account that can't be closed keeps nobody from being told.
    """

    async def close(as_of: datetime, should_stop: Callable[[], bool]) -> Closing:
        await database.in_thread(lambda: tell_overdue_bills(database, as_of=as_of, zone=zone))
        return await database.in_thread(
            lambda: close_with_workers(
                database, as_of=as_of, currency=currency, zone=zone, should_stop=should_stop
            )
        )

    return ClosingScheduler(close, closing_time=closing_time, zone=zone, now=now)

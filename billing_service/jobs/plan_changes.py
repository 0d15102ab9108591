"""Plan changes that were ordered for later: what they mean for call blocking, the exchange learns in time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from billing_service.durations import Seconds
from billing_service.storage.call_blocking import refresh_blocking
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable

INTERVAL_S: Final[Seconds] = 5.0
# The clocks of two machines differ a little, and so does when a change is ordered and committed.
_OVERLAP: Final = timedelta(minutes=1)

log = structlog.get_logger(__name__)


async def follow_plan_changes(
    database: Database, *, now: Callable[[], datetime], interval_s: Seconds = INTERVAL_S
) -> None:
    """Look for plans that have come into force since the last look (at first: at all), until cancelled."""
    since: datetime | None = None
    while True:
        since = await _look(database, now(), since)
        await asyncio.sleep(interval_s)


async def _look(database: Database, at: datetime, since: datetime | None) -> datetime | None:
    """Return from when on the next look has to look."""
    try:
        changed = await database.run(lambda session: refresh_blocking(session, at=at, since=since))
    except DatabaseUnavailable as error:
        log.warning("plan_changes_not_followed", reason=str(error))
        return since
    if changed:
        log.info("plan_changes_followed", accounts=changed)
    return at - _OVERLAP

"""Closing with several processes: the work is half Python's, so threads of one process would not share it.

Workers are processes of `python -m billing_service close-bills`; one that dies leaves its accounts due, and
the others, or the closing that started them, take these over.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Final

import structlog

from billing_service.domain.money import Currency
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.close_bills import Closing, close_due, count_due

WORTH_WORKERS: Final = 5000
"""Fewer accounts are closed before processes have started and found their feet."""
_LOOK_S: Final = 0.1

log = structlog.get_logger(__name__)


def close_with_workers(
    database: Database,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    should_stop: Callable[[], bool],
    worth_workers: int = WORTH_WORKERS,
) -> Closing:
    """Close what is due as `close_due`, by a process for each CPU when it is much.

    What the processes closed is in their `closing_runs`; the answer tells what was left for this one.
    """
    due = database.run_blocking(lambda session: count_due(session, as_of))
    if due >= worth_workers:
        run_workers(os.cpu_count() or 1, as_of=as_of, should_stop=should_stop)
    return close_due(database, as_of=as_of, currency=currency, zone=zone, should_stop=should_stop)


def run_workers(count: int, *, as_of: datetime, should_stop: Callable[[], bool]) -> list[int]:
    """Run so many closing processes until they end; returns their exit statuses.

    They have the environment of this process, so its settings. When told to stop, they finish what they are
    at and end.
    """
    workers = _start(count, as_of)
    try:
        return _await(workers, should_stop)
    except BaseException:
        _terminate(workers)
        raise


def close_beside_workers(
    close: Callable[[], Closing], count: int, *, as_of: datetime, should_stop: Callable[[], bool]
) -> Closing:
    """Run `close` (`close_due` in this process) while so many other processes close, too.

    It waits for what they hold; what one of them left by dying after that is closed in the end.
    """
    workers = _start(count, as_of) if count else []
    try:
        closing = close()
        statuses = _await(workers, should_stop) if workers else []
    except BaseException:
        _terminate(workers)
        raise
    if not any(statuses):
        return closing
    rest = close()
    return Closing(closing.bills + rest.bills, closing.suspended + rest.suspended)


def _start(count: int, as_of: datetime) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "billing_service", "close-bills", "--as-of", as_of.isoformat()]
    workers = [subprocess.Popen(command) for _ in range(count)]
    log.info("closing_workers_started", processes=[worker.pid for worker in workers])
    return workers


def _await(workers: Sequence[subprocess.Popen[bytes]], should_stop: Callable[[], bool]) -> list[int]:
    while any(worker.poll() is None for worker in workers):
        if should_stop():
            _terminate(workers)
            break
        time.sleep(_LOOK_S)
    statuses = [worker.wait() for worker in workers]
    log.info("closing_workers_done", statuses=statuses)
    return statuses


def _terminate(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()

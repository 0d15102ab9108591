"""The one way to the database: a function runs in a transaction, in a bounded pool of threads."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import structlog
from psycopg2 import errors as postgres_errors
from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from billing_service.durations import Seconds
from billing_service.errors import BillingServiceError
from billing_service.storage.engine import STATEMENT_TIMEOUT_MS, make_engine
from billing_service.storage.patience import patience

T = TypeVar("T")
Work = Callable[[Session], T]

ATTEMPTS = 5
# In all, waiting for a free thread included.
REQUEST_TIMEOUT_S = 10.0
# A thread that notices the end of its time by itself tells more; one that can't is not waited for.
_GRACE_S = 0.5
# A server that works ends any statement before this.
_LONGEST_SILENCE_S = STATEMENT_TIMEOUT_MS / 1000 + 5
# PostgreSQL has undone the whole transaction itself; the same work, done again, is likely to pass.
_WORTH_REPEATING = (postgres_errors.SerializationFailure, postgres_errors.DeadlockDetected)

log = structlog.get_logger(__name__)


class DatabaseUnavailable(BillingServiceError):
    """The database does not answer, or went away during the work. Trying again later may help.

    When `maybe_done`, the connection broke while committing: the work is either done whole or not at all.
    """

    def __init__(self, text: str, *, maybe_done: bool = False) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class Database:
    """Runs units of work. One per process; `close` it at the end."""

    def __init__(self, engine: Engine, *, threads: int = 8) -> None:
        self.engine = engine
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="database")

    @classmethod
    def at(cls, url: URL, *, threads: int = 8) -> Self:
        """Use a database, with as many connections as threads; none is opened before it is needed."""
        return cls(make_engine(url, connections=threads), threads=threads)

    async def run(
        self, work: Work[T], *, one_snapshot: bool = False, within_s: Seconds = REQUEST_TIMEOUT_S
    ) -> T:
        """Run `work(session)` in a transaction in a pool thread and return what it returns.

        See `run_blocking`, which this is for code on the event loop. Raises DatabaseUnavailable also when
        the time is over, be it that the database hangs or that all threads are busy for so long.
        """
        deadline = time.monotonic() + within_s

        def in_time() -> T:
            with patience(deadline=deadline):
                return self.run_blocking(work, one_snapshot=one_snapshot)

        try:
            async with asyncio.timeout(within_s + _GRACE_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, in_time)
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"the database did not do its work within {within_s:g} s", maybe_done=True
            ) from error

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run something slow that is no database work (hashing a password) in the same bounded pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def run_blocking(self, work: Work[T], *, one_snapshot: bool = False) -> T:
        """Run `work(session)` in a transaction: committed when it returns, rolled back when it raises.

        Work is done again, from the start, after a serialization failure, a deadlock, or a connection lost
        before the commit; so it must touch nothing but its session. With `one_snapshot` all its queries see
        the database as of one moment (repeatable read).

        Raises DatabaseUnavailable when the database is away, or silent longer than any statement may take.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(work, one_snapshot=one_snapshot)
            except (OperationalError, InterfaceError) as error:
                if attempt == ATTEMPTS or not _may_be_repeated(error):
                    raise _unavailable(error) if _is_disconnect(error) else error from error
                log.info("database_work_again", attempt=attempt, reason=_first_line(error))
                # Apart by chance, so that two rivals don't meet again.
                time.sleep(random.uniform(0, 0.01 * 2**attempt))
            except PoolTimeoutError as error:
                raise DatabaseUnavailable("all database connections are busy; try again later") from error
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, work: Work[T], *, one_snapshot: bool) -> T:
        with (
            patience(silence_s=_LONGEST_SILENCE_S),
            Session(self.engine, expire_on_commit=False) as session,
        ):
            if one_snapshot:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            result = work(session)
            session.flush()
            try:
                session.commit()
            except (OperationalError, InterfaceError) as error:
                if _is_disconnect(error):
                    raise DatabaseUnavailable(_first_line(error), maybe_done=True) from error
                raise
            return result

    def close(self) -> None:
        """Wait for the work under way, then close all connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()


def _may_be_repeated(error: DBAPIError) -> bool:
    # A connection that breaks in use says nothing about the next one; one that can't be made does.
    return isinstance(error.orig, _WORTH_REPEATING) or error.connection_invalidated


def _is_disconnect(error: DBAPIError) -> bool:
    # psycopg2 gives no SQLSTATE when it could not connect at all; class 57P is a server shutting down.
    code = getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or code is None or code.startswith(("08", "57P"))


def _unavailable(error: DBAPIError) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"the database is away: {_first_line(error)}")


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__

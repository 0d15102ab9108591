"""How long a thread waits for PostgreSQL, however the server or the network hangs.

The server's own limits are no help when the server hangs, and TCP keep-alive none when only its processes
do. So psycopg2's waiting is ours (its "wait callback"), and ends at the thread's limit with an error that
closes the connection.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    POLL_WRITE,
    STATUS_SETUP,
    connection,
    get_wait_callback,
    set_wait_callback,
)

from billing_service.durations import Seconds

CONNECT_TIMEOUT_S = 5.0


class _Limits(threading.local):
    deadline: Seconds | None = None  # of the whole work, on the monotonic clock
    silence_s: Seconds | None = None  # of each wait for an answer


_limits = _Limits()


@contextmanager
def patience(*, deadline: Seconds | None = None, silence_s: Seconds | None = None) -> Iterator[None]:
    """Limit this thread's waiting for databases: to `deadline` (`time.monotonic()`), `silence_s` at a time.

    A wait that ends so raises psycopg2.OperationalError and closes the connection. Limits nest: what an outer
    one forbids, no inner one allows.
    """
    before = (_limits.deadline, _limits.silence_s)
    _limits.deadline = _shorter(before[0], deadline)
    _limits.silence_s = _shorter(before[1], silence_s)
    try:
        yield
    finally:
        _limits.deadline, _limits.silence_s = before


def wait_with_patience() -> None:
    """Let all psycopg2 connections of this process wait as `patience` says; once is enough."""
    set_wait_callback(_wait)


def waits_with_patience() -> bool:
    """Whether psycopg2 waits so in this process; COPY can't be used then."""
    return get_wait_callback() is not None


def wait_for_ever() -> None:
    """Let the connections of this process wait as long as it takes: for programs that use COPY.

    A server that goes away is still noticed; one that hangs is waited for, until the user has enough.
    """
    set_wait_callback(None)


def _wait(waiting: connection) -> None:
    started = time.monotonic()
    connecting = waiting.status == STATUS_SETUP
    silence_s = _shorter(_limits.silence_s, CONNECT_TIMEOUT_S if connecting else None)
    deadline = _shorter(_limits.deadline, None if silence_s is None else started + silence_s)
    while (state := waiting.poll()) != POLL_OK:
        # The socket may be another one after each poll: a host can have several addresses.
        if not _is_ready(waiting.fileno(), state, deadline):
            waited_s = time.monotonic() - started
            raise psycopg2.OperationalError(f"the database has been silent for {waited_s:.1f} s")


def _is_ready(descriptor: int, state: int, deadline: Seconds | None) -> bool:
    sockets = select.poll()
    sockets.register(descriptor, {POLL_READ: select.POLLIN, POLL_WRITE: select.POLLOUT}[state])
    timeout_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    return bool(sockets.poll(timeout_ms))


def _shorter(one: Seconds | None, other: Seconds | None) -> Seconds | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)

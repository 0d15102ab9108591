"""Waiting for PostgreSQL comes to an end, whatever does not answer."""

import socket
import threading
import time

import psycopg2
import pytest
from sqlalchemy import URL, text
from sqlalchemy.orm import Session

from billing_service.storage.patience import patience, wait_with_patience
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable


def sleep(session: Session) -> None:
    session.execute(text("SELECT pg_sleep(20)"))


def one(session: Session) -> int:
    return int(session.execute(text("SELECT 1")).scalar_one())


async def test_work_ends_at_its_limit_and_the_next_is_not_hindered(database: Database) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match=r"silent|within"):
        await database.run(sleep, within_s=0.3)
    assert 0.25 < time.monotonic() - started < 15
    assert await database.run(one, within_s=5) == 1


async def test_work_that_finds_no_thread_in_time_is_never_done(database_url: URL) -> None:
    database = Database.at(database_url, threads=1)
    release = threading.Event()
    busy = database._pool.submit(release.wait, 20)
    done: list[int] = []
    with pytest.raises(DatabaseUnavailable):
        await database.run(lambda session: done.append(one(session)), within_s=0.1)
    release.set()
    busy.result(5)
    database.close()
    assert done == []


def test_limits_nest_and_end_with_their_block(database: Database) -> None:
    started = time.monotonic()
    with patience(silence_s=0.2):
        with patience(silence_s=30, deadline=time.monotonic() + 30), pytest.raises(DatabaseUnavailable):
            database.run_blocking(sleep)
        assert time.monotonic() - started < 15
    database.run_blocking(lambda session: session.execute(text("SELECT pg_sleep(0.4)")))


def test_a_server_that_accepts_and_says_nothing_is_left() -> None:
    wait_with_patience()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()
        started = time.monotonic()
        with patience(silence_s=0.2), pytest.raises(psycopg2.OperationalError, match="silent for 0"):
            psycopg2.connect(host=host, port=port, user="x", dbname="x")
        assert time.monotonic() - started < 15

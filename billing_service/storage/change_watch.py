"""Tells who waits that something has changed in the database, wherever the change was made."""

import asyncio
import select
import socket
import threading
import time

import psycopg2
import structlog
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection
from sqlalchemy import URL

from billing_service.storage.patience import patience, wait_with_patience

LONGEST_PAUSE_S = 1.0
PROBE_EVERY_S = 30.0
PROBE_TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


class ChangeWatch:
    """Listens for PostgreSQL's notifications on one channel (NOTIFY, sent by triggers on commit).

    A thread keeps one connection for it. While that is broken, waiters are woken at every attempt to make it
    again, so a change is noticed late at worst and never missed.
    """

    def __init__(self, url: URL, channel: str) -> None:
        wait_with_patience()
        self._url = url
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._listen, name=f"watch-{self._channel}", daemon=True)
        self.closed = False

    def start(self) -> None:
        """Begin to listen; call it on the event loop that waits."""
        self._loop = asyncio.get_running_loop()
        self._wake, self._woken = socket.socketpair()
        self._thread.start()

    def next_change(self) -> asyncio.Event:
        """Return an event that the next change sets. Take it before reading what is waited for to change."""
        return self._changed

    def wake_all(self) -> None:
        """Wake all waiters and let nobody wait again; the first step of a graceful stop."""
        self.closed = True
        self._changed.set()

    async def close(self) -> None:
        """Stop listening."""
        self.wake_all()
        self._wake.send(b"x")
        await asyncio.to_thread(self._thread.join)
        self._wake.close()
        self._woken.close()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self.closed:
            self._changed.set()

    def _listen(self) -> None:
        with patience(silence_s=PROBE_TIMEOUT_S):
            self._listen_again_and_again()

    def _listen_again_and_again(self) -> None:
        pause_s = 0.05
        while not self.closed:
            try:
                with _Listener(self._url, self._channel) as listener:
                    # What was committed while nobody listened is announced now.
                    self._announce_on_loop()
                    pause_s = 0.05
                    self._pass_on(listener)
            except psycopg2.Error as error:
                log.warning(
                    "change_watch_broken", channel=self._channel, reason=str(error).strip().split("\n")[0]
                )
            self._announce_on_loop()
            if not self.closed:
                select.select([self._woken], [], [], pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _pass_on(self, listener: "_Listener") -> None:
        probe_at = time.monotonic() + PROBE_EVERY_S
        while not self.closed:
            sources = [listener.connection.fileno(), self._woken.fileno()]
            ready, _, _ = select.select(sources, [], [], max(0.0, probe_at - time.monotonic()))
            if self._woken.fileno() in ready:
                return
            if not ready:
                # A network that swallows packets looks like silence.
                listener.probe()
                probe_at = time.monotonic() + PROBE_EVERY_S
            if listener.heard():
                self._announce_on_loop()

    def _announce_on_loop(self) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._announce)


class _Listener:
    """The connection that listens."""

    def __init__(self, url: URL, channel: str) -> None:
        arguments = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
        self.connection: connection = psycopg2.connect(
            application_name=f"{channel}-watch".replace("_", "-"), **arguments
        )
        self.connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        self._execute(f"LISTEN {channel}")

    def __enter__(self) -> "_Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def probe(self) -> None:
        """Raise psycopg2.Error when the server is gone."""
        self._execute("SELECT 1")

    def heard(self) -> bool:
        """Whether notifications have come since last asked; raises psycopg2.Error on a broken connection."""
        self.connection.poll()
        any_heard = bool(self.connection.notifies)
        self.connection.notifies.clear()
        return any_heard

    def _execute(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

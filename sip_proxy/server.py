"""The composition root: makes the parts of the exchange, connects them, runs them, stops them."""

import asyncio
import gc
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import structlog
from aiohttp import web

from sip_proxy import compiled
from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import BillingClient
from sip_proxy.adapters.control.api import make_control_api
from sip_proxy.adapters.delivery import Delivery
from sip_proxy.adapters.directory_copy import DirectoryCopy
from sip_proxy.adapters.directory_feed import DirectoryFeed
from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.journal import Journal
from sip_proxy.adapters.journal_store import JournalStore, Restored, UnableToOpenJournal
from sip_proxy.adapters.metrics import Metrics
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.adapters.trace import Trace
from sip_proxy.background_work import BackgroundWork
from sip_proxy.clock import CLOCK_NAME, elapsed
from sip_proxy.core.directory import Directory
from sip_proxy.core.engine import Engine, EngineConfig
from sip_proxy.driver import Driver
from sip_proxy.listeners import Listeners
from sip_proxy.measurements import measurements_of
from sip_proxy.operations import Operations
from sip_proxy.settings import Settings
from sip_proxy.sockets import UnableToStart, bind_sockets, unable_to_listen
from sip_proxy.transport.addresses import LocalAddresses
from sip_proxy.transport.source_limit import SourceLimiter

_TIDY_INTERVAL_S = 5.0
_STOP_HTTP_S = 1.0
# Finished calls are freed by their reference counts. The collector looks for cycles of other origin only, and
# with its usual thresholds it would look through every live call some hundred times a second. With these it
# looks at what is new while there are ever more calls or phones, and nobody waits for longer than some 10 ms.
_COLLECTION_THRESHOLDS = (10_000, 100, 100)

log = structlog.get_logger()


class Server:
    """The running exchange."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts and take the sockets; nothing is answered yet.

        Raises UnableToStart.
        """
        self._settings = settings
        self._store = JournalStore(settings.var / "journal.sqlite3", boot_id=_boot_id())
        try:
            self._store.open()
            restored = self._store.restore()
        except UnableToOpenJournal as error:
            raise UnableToStart(str(error)) from error
        sockets = bind_sockets(settings)
        local_addresses = LocalAddresses()
        self._engine = Engine(
            config=EngineConfig(
                domain=settings.domain,
                local_addresses=sockets.local_addresses(),
                listening=sockets.listening(local_addresses),
                nonce_secret=os.urandom(32),
                life_check_interval_s=settings.ping_interval_s,
                session_interval_s=settings.session_interval_s,
                nat_keep_alive_s=settings.nat_keep_alive_s,
            ),
            directory=Directory(),
            random_bytes=os.urandom,
        )
        self._events = EventHub(on_watched=self._watched)
        self._limiter = SourceLimiter(is_trusted=self._engine.is_trusted)
        trace = Trace(settings.trace_messages)
        self._driver = Driver(
            self._engine,
            events=self._events,
            security_log=SecurityLog(clock=elapsed),
            limiter=self._limiter,
            trace=trace,
        )
        self._journal = Journal(self._store, listener=self._driver)
        self._listeners = Listeners(
            sockets, handler=self._driver, local_addresses=local_addresses, round_s=settings.round_s
        )
        self._session = aiohttp.ClientSession()
        billing = BillingClient(self._session, url=settings.billing_url, service_token=settings.service_token)
        self._delivery = Delivery(
            self._journal, billing, backoff=Backoff(random=random.random), undelivered=restored.undelivered
        )
        self._feed = DirectoryFeed(
            billing,
            self._engine,
            DirectoryCopy(settings.var / "directory.json", realm=settings.domain),
            realm=settings.domain,
            backoff=Backoff(random=random.random),
            on_contact=self._delivery.billing_is_back,
            on_change=self._directory_changed,
        )
        self._driver.connect(
            journal=self._journal,
            senders=self._listeners.senders,
            on_records=self._delivery.records_committed,
        )
        self._restored = restored
        self._operations = Operations(
            self._engine, self._driver, self._delivery, trace, listening=self._listeners.names
        )
        self._stopping = asyncio.Event()
        self._background = BackgroundWork(on_broken=self._stopping.set)
        metrics = Metrics(
            measurements_of(
                engine=self._engine,
                driver=self._driver,
                journal=self._journal,
                delivery=self._delivery,
                udp=self._listeners.udp,
                streams=self._listeners.streams,
                limiter=self._limiter,
            )
        )
        app = make_control_api(
            self._operations, events=self._events, metrics=metrics, service_token=settings.service_token
        )
        self._http = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=_STOP_HTTP_S)

    async def run(self) -> int:
        """Run until a signal says stop; return the exit code. Raises UnableToStart."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._journal.start()
        try:
            self._restore(self._restored)
            await self._serve_control_api()
            self._feed.load_copy()
            self._background.start(
                self._feed.run(), self._feed.keep_copy(), self._delivery.run(), self._tidy()
            )
            if await self._directory_loaded():
                await self._listen()
                await self._stopping.wait()
        finally:
            await self._stop()
        return 1 if self._background.is_broken else 0

    def _watched(self, is_watched: bool) -> None:
        self._engine.is_watched = is_watched

    def _directory_changed(self) -> None:
        self._driver.operate(self._engine.directory_changed, instead=None)

    def _restore(self, restored: Restored) -> None:
        now = elapsed()
        for number, state in restored.bindings:
            with _unless_unreadable("bindings", number):
                self._engine.restore_bindings(number, state, now)
        for call in restored.calls:
            with _unless_unreadable("call", call.record_id):
                self._engine.restore_call(call.state, now, same_boot=call.same_boot)
        self._driver.turn_ended()
        if restored.calls or restored.bindings or restored.undelivered:
            log.info(
                "journal_restored",
                calls=len(restored.calls),
                numbers=len(restored.bindings),
                undelivered=restored.undelivered,
            )

    async def _serve_control_api(self) -> None:
        await self._http.setup()
        address = self._settings.control_http
        try:
            await web.TCPSite(self._http, address.host, address.port).start()
        except OSError as error:
            raise unable_to_listen("TOLLBELL_CONTROL_HTTP", address, error) from error

    async def _directory_loaded(self) -> bool:
        """Wait for a directory: without one, every phone would be told that it is unknown."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._feed.loaded, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self._stopping.is_set()

    async def _listen(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTION_THRESHOLDS)
        await self._listeners.start()
        self._operations.is_listening = True
        host, port = self._http.addresses[0][:2]
        log.info(
            "listening",
            sip=" ".join(self._listeners.names),
            control=f"{host}:{port}",
            domain=self._settings.domain,
            directory_version=self._engine.directory.version,
            core="compiled" if compiled.is_in_use() else "interpreted",
        )

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_INTERVAL_S)
            self._driver.tidy()

    async def _stop(self) -> None:
        """Stop in the order in which nothing is lost: no new messages, facts to disk, last answers out."""
        log.info("stopping")
        self._operations.is_listening = False
        self._listeners.pause()
        await self._background.cancel()
        await self._feed.save_copy()
        self._driver.operate(self._engine.save_calls, instead=None)
        self._driver.stop()  # what a timer brought about now would come too late for the journal
        if not await self._journal.close():
            log.error("journal_not_flushed", effect="facts that were only in memory are lost")
        # What the journal told last is heard in the next turn, and then sent.
        await asyncio.sleep(0)
        self._driver.stop()
        await self._listeners.close()
        await self._http.cleanup()
        await self._session.close()
        log.info("stopped")


@contextmanager
def _unless_unreadable(kind: str, key: str) -> Iterator[None]:
    """Let one entry that can't be restored not keep the exchange from starting; it stays in the journal."""
    try:
        yield
    except Exception:
        log.exception("not_restored", kind=kind, key=key)


def _boot_id() -> str:
    """Return what tells one run of the machine from another: its clock is good for one run only.

    With the name of the clock, as there are journals in which the instants are of another one.
    """
    try:
        run = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: take every start for a new boot
        return str(uuid4())
    return f"{run} {CLOCK_NAME}"


async def serve(settings: Settings) -> int:
    """Run the exchange until a signal says stop; return the exit code.

    Raises UnableToStart.
    """
    return await Server(settings).run()

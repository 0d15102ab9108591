"""Starts the parts in order, keeps them running, stops them in the reverse order."""

import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from tollbell.part import Part, PartFailed
from tollbell.settings import Address, Settings

READY_TIMEOUT_S = 60.0


class UnableToStart(Exception):
    """The system can't start; the text says why and what to do."""


class Supervisor:
    """The whole system on one machine.

    `run` returns when it has been asked to stop (SIGINT, SIGTERM, or `stop_requested`) and everything has
    stopped. A part that ends by itself is started again.
    """

    def __init__(self, settings: Settings, say: Callable[[str, str], None]) -> None:
        self.settings = settings
        self.stop_requested = asyncio.Event()
        self._say = say
        self._running: list[Part] = []
        self._watches: list[asyncio.Task[None]] = []

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` when every part answers its health check, stay until stopped.

        Raises `UnableToStart`.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop_requested.set)
        with hold_directory(self.settings.var):
            check_addresses(self.settings)
            try:
                starting = asyncio.create_task(self._start())
                stopping = asyncio.create_task(self.stop_requested.wait())
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    on_ready()
                    await stopping
                else:
                    starting.cancel()
                    await asyncio.gather(starting, return_exceptions=True)
                stopping.cancel()
            finally:
                await self._stop()

    async def _start(self) -> None:
        try:
            if self.settings.database_url is None:
                await self._keep_running(self._part("postgres", "billing_service", "postgres"))
            await self._finish(self._part("migrate", "billing_service", "migrate"))
            if self.settings.sample_data:
                await self._finish(self._part("sample", "billing_service", "sample-data"))
        except PartFailed as failure:
            raise UnableToStart(str(failure)) from failure
        try:
            async with (
                asyncio.timeout(READY_TIMEOUT_S),
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            ):
                # In the order in which they ask each other.
                for part, address in (
                    (self._part("billing", "billing_service", "serve"), self.settings.billing_http),
                    (self._part("proxy", "sip_proxy"), self.settings.control_http),
                    (self._part("admin", "admin_web"), self.settings.admin_http),
                ):
                    await self._keep_running(part)
                    await _healthy(session, part, address)
        except TimeoutError:
            raise UnableToStart(
                f"not every part was ready within {READY_TIMEOUT_S:g} s; the lines above say why"
            ) from None

    async def _keep_running(self, part: Part) -> None:
        await part.start()
        self._running.append(part)
        self._watches.append(asyncio.create_task(part.watch()))

    async def _finish(self, part: Part) -> None:
        """Run a part that ends by itself; a stop in the middle ends it."""
        self._running.append(part)
        try:
            await part.run_once()
        finally:
            await part.stop()
            self._running.remove(part)

    async def _stop(self) -> None:
        # The console first, the database last: whatever a part still has to write, it can.
        for part in reversed(self._running):
            await part.stop()
        await asyncio.gather(*self._watches)

    def _part(self, name: str, *module_arguments: str) -> Part:
        return Part(name, module_arguments, os.environ, self._say)


async def _healthy(session: aiohttp.ClientSession, part: Part, address: Address) -> None:
    """Wait until the part says that it is well.

    Raises `UnableToStart` when it ended instead with an exit code that says it can't start.
    """
    while True:
        if part.exit_code is not None and part.exit_code > 0:
            raise UnableToStart(f"{part.name} could not start; its lines above say why")
        try:
            async with session.get(f"http://{address}/health") as answer:
                if answer.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError):
            # Not listening yet; the loop's time-out is the limit.
            pass
        await asyncio.sleep(0.05)


@contextmanager
def hold_directory(var: Path) -> Iterator[None]:
    """Hold the data directory for this process alone, making it first where it is missing.

    Raises `UnableToStart` when another system runs in it.
    """
    var.mkdir(parents=True, exist_ok=True)
    with (var / "tollbell.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnableToStart(
                f"another Tollbell runs in {var}; stop it, or set TOLLBELL_VAR to another directory"
            ) from None
        yield


def check_addresses(settings: Settings) -> None:
    """See that every address is free before anything starts, so that the message names the setting.

    Raises `UnableToStart` for the first that is not.
    """
    for name, address, kind in (
        ("TOLLBELL_BILLING_HTTP", settings.billing_http, socket.SOCK_STREAM),
        ("TOLLBELL_CONTROL_HTTP", settings.control_http, socket.SOCK_STREAM),
        ("TOLLBELL_ADMIN_HTTP", settings.admin_http, socket.SOCK_STREAM),
        ("TOLLBELL_SIP_UDP", settings.sip_udp, socket.SOCK_DGRAM),
        ("TOLLBELL_SIP_TCP", settings.sip_tcp, socket.SOCK_STREAM),
        ("TOLLBELL_SIP_WS", settings.sip_ws, socket.SOCK_STREAM),
    ):
        protocol = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
        try:
            family = socket.getaddrinfo(address.host, address.port, type=kind)[0][0]
            with socket.socket(family, kind) as probe:
                if kind is socket.SOCK_STREAM:
                    # As the servers do: a port in TIME_WAIT from the last run is free.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address.host, address.port))
                if kind is socket.SOCK_STREAM:
                    probe.listen()
        except OSError as error:
            raise UnableToStart(
                f"{protocol} port {address.port} on {address.host} can't be used ({error.strerror}): "
                f"stop the program that has it, or set {name} to another address"
            ) from error

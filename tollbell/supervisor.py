"""Starts the parts in order, keeps them running, stops them in the reverse order."""

import asyncio
import os
import signal
from collections.abc import Callable

import aiohttp

from tollbell.part import Part, PartFailed
from tollbell.preflight import UnableToStart, check_addresses, hold_directory, unknown_settings
from tollbell.settings import Address, Settings

READY_TIMEOUT_S = 60.0


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
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop_requested.set)
        for warning in unknown_settings(os.environ):
            self._say("tollbell", warning)
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

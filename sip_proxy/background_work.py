"""What the exchange does all the time beside switching: tasks that must never end by themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class BackgroundWork:
    """Keeps tasks going until they are cancelled; one that fails breaks the exchange, and that is told."""

    def __init__(self, *, on_broken: Callable[[], None]) -> None:
        self._on_broken = on_broken
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_broken = False

    def start(self, *works: Coroutine[Any, Any, None]) -> None:
        """Begin these."""
        for work in works:
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """End all of them, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("exchange_broken", exc_info=error)
            self.is_broken = True
            self._on_broken()

"""Sends events to the broker's topic exchange: in order, and again when it is not sure that they arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from billing_service.broker import EVENTS, BrokerLink, BrokerUnavailable, OutgoingMessage
from billing_service.broker.link import CONFIRM_TIMEOUT_S
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.storage.waiting_events import send_waiting

_LOOK_EVERY_S: Final = 5.0
_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class OutboxSender:
    """Runs for as long as the service. `next_change` hands out what is set as soon as events are written."""

    def __init__(
        self, database: Database, link: BrokerLink, *, next_change: Callable[[], asyncio.Event]
    ) -> None:
        self._database = database
        self._link = link
        self._next_change = next_change
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; call it on the event loop."""
        self._task = asyncio.create_task(self._run(), name="outbox-sender")

    async def stop(self) -> None:
        """End; what was under way is sent again by whoever runs next, unless it was done."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await self._link.connected.wait()
            changed = self._next_change()
            try:
                while await self._send_some():
                    pass
            except (BrokerUnavailable, DatabaseUnavailable) as error:
                log.warning("events_wait", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            except Exception:  # the sender must outlive whatever it was
                log.exception("outbox_sender_failed")
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            # Now and then even without news: another process may have died over some.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await changed.wait()

    async def _send_some(self) -> int:
        loop = asyncio.get_running_loop()

        def send(events: Sequence[dict[str, Any]]) -> None:
            # In a thread of the database: the transaction stays open until the broker has confirmed.
            publishing = asyncio.run_coroutine_threadsafe(
                self._link.publish(*(_message(event) for event in events)), loop
            )
            publishing.result(timeout=2 * CONFIRM_TIMEOUT_S)

        return await self._database.run(lambda session: send_waiting(session, send))


def _message(event: dict[str, Any]) -> OutgoingMessage:
    return OutgoingMessage(
        routing_key=event["type"],
        exchange=EVENTS,
        body=json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(),
        message_id=event["id"],
        timestamp=datetime.fromisoformat(event["timestamp"]),
    )

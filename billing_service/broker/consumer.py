"""Takes messages from a queue in batches, and acknowledges them when their work is committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from billing_service.broker.topology import DEAD_LETTERS
from billing_service.durations import Seconds

REASON_HEADER: Final = "tollbell-reason"
QUEUE_HEADER: Final = "tollbell-queue"
LARGEST_BATCH: Final = 500
_FILL_S: Final = 0.02
"""How long a batch waits for more after its first message."""

log = structlog.get_logger(__name__)


class Postponed(Exception):
    """What the work needs is away: the messages go back and come again once it is there."""


class TakeBatch(Protocol):
    """Does the work of a batch, and returns for each document None, or why it can never be done.

    Raises Postponed when it can't be done now. Any other error is the fault of one of the documents.
    """

    def __call__(self, documents: Sequence[Any]) -> Awaitable[Sequence[str | None]]: ...


class BatchConsumer:
    """Consumes one queue over whatever connection it is given.

    Who dies in a batch leaves all its messages to the next one: the work must bear to be done twice.
    """

    def __init__(
        self,
        queue: str,
        take: TakeBatch,
        *,
        until_possible: Callable[[], Awaitable[None]],
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        self._queue = queue
        self._take = take
        self._until_possible = until_possible
        self._largest_batch = largest_batch

    async def __call__(self, connection: AbstractConnection) -> None:
        """Consume until the channel is closed. Nothing is taken from the queue before work is possible."""
        await self._until_possible()
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            await self._consume(channel)
        except Postponed as error:
            # Closing the channel gives everything back that was not acknowledged.
            log.warning("messages_postponed", queue=self._queue, reason=str(error))
        finally:
            with contextlib.suppress(Exception):
                await channel.close()

    async def _consume(self, channel: AbstractChannel) -> None:
        inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        channel.close_callbacks.add(lambda *_: inbox.put_nowait(None))
        await channel.set_qos(prefetch_count=2 * self._largest_batch)
        queue = await channel.get_queue(self._queue, ensure=False)
        await queue.consume(inbox.put)
        while True:
            batch = await _next_batch(inbox, self._largest_batch)
            if batch is None:
                return
            await self._work(channel, batch)

    async def _work(self, channel: AbstractChannel, batch: Sequence[AbstractIncomingMessage]) -> None:
        readable: list[tuple[AbstractIncomingMessage, Any]] = []
        poison: list[tuple[AbstractIncomingMessage, str]] = []
        for message in batch:
            try:
                readable.append((message, json.loads(message.body.decode("utf-8"))))
            except (ValueError, RecursionError) as error:
                poison.append((message, f"it is no JSON: {error}"))
        documents = [document for _, document in readable]
        reasons = await self._reasons(documents) if documents else []
        poison += [
            (message, reason)
            for (message, _), reason in zip(readable, reasons, strict=True)
            if reason is not None
        ]
        for message, reason in poison:
            await self._bury(channel, message, reason)
        for message in batch:
            await message.ack()

    async def _reasons(self, documents: Sequence[Any]) -> Sequence[str | None]:
        try:
            return await self._take(documents)
        except Postponed:
            raise
        except Exception as error:
            if len(documents) == 1:
                log.exception("message_not_taken", queue=self._queue)
                return [f"{type(error).__name__}: {error}"[:1000]]
            # One of them spoils the others, so each goes alone.
            return [reason for document in documents for reason in await self._reasons([document])]

    async def _bury(self, channel: AbstractChannel, message: AbstractIncomingMessage, reason: str) -> None:
        """Put a message with the reason to the dead letters; confirmed before it is acknowledged here."""
        log.warning("message_buried", queue=self._queue, message_id=message.message_id, reason=reason)
        await channel.default_exchange.publish(
            Message(
                message.body,
                content_type=message.content_type,
                delivery_mode=DeliveryMode.PERSISTENT,
                message_id=message.message_id,
                timestamp=message.timestamp,
                headers={REASON_HEADER: reason, QUEUE_HEADER: self._queue},
            ),
            DEAD_LETTERS,
        )


async def _next_batch(
    inbox: asyncio.Queue[AbstractIncomingMessage | None], largest: int, fill_s: Seconds = _FILL_S
) -> list[AbstractIncomingMessage] | None:
    """The next messages, as many as come shortly after the first; None when the channel is closed."""
    batch = [await inbox.get()]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(fill_s):
            while batch[-1] is not None and len(batch) < largest:
                batch.append(await inbox.get())
    messages = [message for message in batch if message is not None]
    # A closed channel has taken its messages back: working on them would be in vain.
    return messages if len(messages) == len(batch) else None

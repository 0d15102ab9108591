"""The dead letters: shown, put back into their queue, or removed, by whoever has found out why they died."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from billing_service.broker.consumer import QUEUE_HEADER, REASON_HEADER
from billing_service.broker.link import BROKER_ERRORS, BrokerLink, BrokerUnavailable
from billing_service.broker.topology import CALL_EVENTS, CLOSE_REQUESTS, DEAD_LETTERS

MOST_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be taken. `letter_id` follows from its content."""

    letter_id: str
    queue: str
    reason: str
    body: str
    sent_at: datetime | None


IsDone = Callable[[AbstractChannel, DeadLetter, AbstractIncomingMessage], Awaitable[bool]]


async def list_dead_letters(link: BrokerLink, *, limit: int = MOST_SHOWN) -> list[DeadLetter]:
    """The oldest dead letters, which stay where they are; raise BrokerUnavailable."""
    found: list[DeadLetter] = []

    async def show(_: AbstractChannel, letter: DeadLetter, __: AbstractIncomingMessage) -> bool:
        found.append(letter)
        return False

    await _go_through(link, show, limit=limit)
    return found


async def requeue_dead_letters(link: BrokerLink, wanted: Callable[[DeadLetter], bool]) -> int:
    """Put letters back into the queues that they came from; returns how many. Raises BrokerUnavailable."""

    async def put_back(
        channel: AbstractChannel, letter: DeadLetter, message: AbstractIncomingMessage
    ) -> bool:
        if not wanted(letter):
            return False
        await channel.default_exchange.publish(
            Message(
                message.body,
                content_type=message.content_type,
                delivery_mode=DeliveryMode.PERSISTENT,
                message_id=message.message_id,
                timestamp=message.timestamp,
            ),
            letter.queue,
        )
        return True

    return await _go_through(link, put_back)


async def remove_dead_letters(link: BrokerLink, wanted: Callable[[DeadLetter], bool]) -> int:
    """Remove letters for good; returns how many. Raises BrokerUnavailable."""

    async def forget(_: AbstractChannel, letter: DeadLetter, __: AbstractIncomingMessage) -> bool:
        return wanted(letter)

    return await _go_through(link, forget)


async def _go_through(link: BrokerLink, is_done: IsDone, *, limit: int | None = None) -> int:
    """Take the letters that are there from their queue as far as they are done; returns how many that were.

    The others are held, so that none is met twice, and given back at the end. So are letters that were done
    here and have died again: they are left for the next time.
    """
    channel = await link.open_channel()
    try:
        queue = await channel.get_queue(DEAD_LETTERS, ensure=False)
        done: list[str] = []
        held: list[AbstractIncomingMessage] = []
        while limit is None or len(held) < limit:
            message = await queue.get(fail=False)
            if message is None:
                break
            letter = _read(message)
            if letter.letter_id not in done and await is_done(channel, letter, message):
                await message.ack()
                done.append(letter.letter_id)
            else:
                held.append(message)
        for message in held:
            await message.nack(requeue=True)
        return len(done)
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(f"the broker is away: {error}") from error
    finally:
        with contextlib.suppress(*BROKER_ERRORS):
            await channel.close()


def _read(message: AbstractIncomingMessage) -> DeadLetter:
    headers = {name: value for name, value in message.headers.items() if isinstance(value, str)}
    queue = headers.get(QUEUE_HEADER) or headers.get("x-first-death-queue")
    why = headers.get(REASON_HEADER) or f"the broker gave it up: {headers.get('x-first-death-reason')}"
    return DeadLetter(
        letter_id=hashlib.sha256(message.body).hexdigest()[:32],
        queue=queue if queue in (CALL_EVENTS, CLOSE_REQUESTS) else CALL_EVENTS,
        reason=why,
        body=message.body.decode("utf-8", errors="replace"),
        sent_at=message.timestamp,
    )

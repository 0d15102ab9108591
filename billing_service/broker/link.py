"""The connection to the broker: kept, made again when it breaks, and used to publish with confirmation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aio_pika
import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from billing_service.broker.topology import declare
from billing_service.durations import Seconds
from billing_service.errors import BillingServiceError

CONFIRM_TIMEOUT_S: Final = 5.0
_CONNECT_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 2.0
_HEARTBEAT_S: Final = 10
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

# What aio-pika raises when the broker or the way to it fails.
BROKER_ERRORS: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class BrokerUnavailable(BillingServiceError):
    """The broker is away or did not confirm in time. It may have the message all the same: try again."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be published. `routing_key` is the queue when no exchange is named."""

    routing_key: str
    body: bytes
    message_id: str
    exchange: str = ""
    timestamp: datetime | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def to_amqp(self) -> Message:
        """The message as aio-pika knows it: kept on disk by the broker."""
        return Message(
            self.body,
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=self.message_id,
            timestamp=self.timestamp,
            headers=dict(self.headers),
        )


Work = Callable[[AbstractConnection], Awaitable[None]]


class BrokerLink:
    """Keeps one connection for as long as it runs.

    `works` run with each new connection until it breaks; they leave unfinished what the next one finds again.
    """

    def __init__(self, url: str, *, works: Sequence[Work] = ()) -> None:
        self._url = URL(url).update_query(heartbeat=str(_HEARTBEAT_S))
        self._works = works
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        """Set while there is a connection."""

    def start(self) -> None:
        """Begin to connect; call it on the event loop."""
        self._task = asyncio.create_task(self._run(), name="broker-link")

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def publish(self, *messages: OutgoingMessage, timeout_s: Seconds = CONFIRM_TIMEOUT_S) -> None:
        """Return when the broker has confirmed all messages: they are on the disks of most of its nodes.

        Raises BrokerUnavailable when it has not; some of them may be there nevertheless.
        """
        channel = self._channel
        if channel is None:
            raise BrokerUnavailable("the broker is away; try again in a moment")
        try:
            async with asyncio.timeout(timeout_s):
                # Started in their order, which is the order in which they are written.
                await asyncio.gather(*(self._publish(channel, message) for message in messages))
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(f"the broker did not confirm: {_told(error)}") from error

    async def open_channel(self) -> AbstractChannel:
        """Return a channel of one's own, to be closed; raise BrokerUnavailable."""
        connection = self._connection
        if connection is None:
            raise BrokerUnavailable("the broker is away; try again in a moment")
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                return await connection.channel(on_return_raises=True)
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(f"the broker is away: {_told(error)}") from error

    async def _publish(self, channel: AbstractChannel, message: OutgoingMessage) -> None:
        exchange = (
            await channel.get_exchange(message.exchange, ensure=False)
            if message.exchange
            else channel.default_exchange
        )
        # To a queue: one that has gone is an error. To the exchange: nobody has to listen.
        await exchange.publish(message.to_amqp(), message.routing_key, mandatory=not message.exchange)

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                connection = await aio_pika.connect(
                    self._url,
                    timeout=_CONNECT_TIMEOUT_S,
                    client_properties={"connection_name": "tollbell-billing"},
                )
            except BROKER_ERRORS as error:
                log.warning("broker_away", reason=_told(error))
            else:
                try:
                    await self._use(connection)
                    pause_s = _FIRST_PAUSE_S
                except BROKER_ERRORS as error:
                    log.warning("broker_lost", reason=_told(error))
                finally:
                    self._connection = self._channel = None
                    self.connected.clear()
                    # A broker that is silent would let us wait for its good-bye for ever.
                    with contextlib.suppress(*BROKER_ERRORS):
                        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                            await connection.close()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _use(self, connection: AbstractConnection) -> None:
        """Do all that the connection is for; returns when it is closed."""
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await declare(channel)
        self._connection, self._channel = connection, channel
        self.connected.set()
        log.info("broker_connected")
        async with asyncio.TaskGroup() as tasks:
            works = [tasks.create_task(_run_work(work, connection)) for work in self._works]
            closed = asyncio.Event()
            connection.close_callbacks.add(lambda *_: closed.set())
            channel.close_callbacks.add(lambda *_: closed.set())
            await closed.wait()
            for work in works:
                work.cancel()


async def _run_work(work: Work, connection: AbstractConnection) -> None:
    while not connection.is_closed:
        try:
            await work(connection)
        except BROKER_ERRORS as error:
            # The connection may be well: then the work begins again with a channel of its own.
            log.warning("broker_work_broken", reason=_told(error))
            await asyncio.sleep(_FIRST_PAUSE_S)
        except Exception:  # the connection and the other works must outlive whatever it was
            log.exception("broker_work_failed")
            await asyncio.sleep(_LONGEST_PAUSE_S)


def _told(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]

"""The queues and the exchange, declared at every connection: whoever comes first makes them.

All are durable. The queues are quorum queues (replicated, safe against a broker that dies); what a worker
could not take goes to the dead letters, of its own accord when it was tried far too often: a message that
kills every process that touches it must not do so for ever.
"""

from typing import Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

CALL_EVENTS: Final = "tollbell.call-events"
CLOSE_REQUESTS: Final = "tollbell.close-requests"
DEAD_LETTERS: Final = "tollbell.dead-letters"
EVENTS: Final = "tollbell.events"
"""The topic exchange of outgoing events; the routing key is the kind of event."""

MOST_DELIVERIES: Final = 50


async def declare(channel: AbstractChannel) -> None:
    """Make what is not there yet; raises ChannelPreconditionFailed when something else has its name."""
    await channel.declare_exchange(EVENTS, ExchangeType.TOPIC, durable=True)
    await channel.declare_queue(DEAD_LETTERS, durable=True, arguments={"x-queue-type": "quorum"})
    for name in (CALL_EVENTS, CLOSE_REQUESTS):
        await channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": MOST_DELIVERIES,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": DEAD_LETTERS,
            },
        )

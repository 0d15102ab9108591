"""RabbitMQ, when it is configured: the only place that knows aio-pika."""

from billing_service.broker.link import BrokerLink, BrokerUnavailable, OutgoingMessage
from billing_service.broker.topology import CALL_EVENTS, CLOSE_REQUESTS, DEAD_LETTERS, EVENTS

__all__ = [
    "CALL_EVENTS",
    "CLOSE_REQUESTS",
    "DEAD_LETTERS",
    "EVENTS",
    "BrokerLink",
    "BrokerUnavailable",
    "OutgoingMessage",
]

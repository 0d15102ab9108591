"""Where call events and close requests go: into the database, or onto the queues of the broker."""

from __future__ import annotations

import json
from typing import Any, Protocol

from aiohttp import web

from billing_service.broker import CALL_EVENTS, CLOSE_REQUESTS, BrokerLink, OutgoingMessage
from billing_service.domain.call_event import CallEvent, CloseRequest
from billing_service.errors import Conflict
from billing_service.http_api.services import Services
from billing_service.use_cases.close_bill_request import close_bill_request
from billing_service.use_cases.take_call_event import take_call_events


class Intake(Protocol):
    """Accepts what is asked for. When it returns, what was accepted is not lost any more."""

    async def accept_call_event(self, event: CallEvent) -> None:
        """Accept a call event."""

    async def accept_close(self, request: CloseRequest) -> None:
        """Accept the wish for a bill; raise NotFound or Conflict when it is known that there can be none."""


INTAKE: web.AppKey[Intake] = web.AppKey("intake", Intake)
BROKER: web.AppKey[BrokerLink] = web.AppKey("broker", BrokerLink)
"""The connection to the broker, where one is configured."""


class DirectIntake:
    """Does at once what is asked for."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts

    async def accept_call_event(self, event: CallEvent) -> None:
        """Store the event; one that contradicts others is accepted, and kept with the reason."""
        parts = self._parts
        await parts.database.run(
            lambda session: take_call_events(
                session,
                [event],
                plans=parts.plans,
                currency=parts.settings.currency,
                zone=parts.settings.timezone,
                received_at=parts.now(),
            )
        )

    async def accept_close(self, request: CloseRequest) -> None:
        """Close the bill."""
        parts = self._parts
        await parts.database.run(
            lambda session: close_bill_request(
                session,
                request,
                currency=parts.settings.currency,
                zone=parts.settings.timezone,
                at=parts.now(),
            )
        )


class BrokerIntake:
    """Puts onto a queue what is asked for; raises BrokerUnavailable unless the broker confirms it.

    The database may be away meanwhile: whatever only it can tell is found out later, by the worker.
    """

    def __init__(self, parts: Services, link: BrokerLink) -> None:
        self._parts = parts
        self._link = link

    async def accept_call_event(self, event: CallEvent) -> None:
        """Put the event onto the queue of call events."""
        await self._put(CALL_EVENTS, event.to_document(), event.transaction_id)

    async def accept_close(self, request: CloseRequest) -> None:
        """Put the request onto its queue, unless its month is not over: then no account's period is."""
        today = self._parts.now().astimezone(self._parts.settings.timezone)
        if (today.year, today.month) <= (request.year, request.month):
            raise Conflict(
                f"The month {request.month:02}/{request.year} can't be closed before it is over: "
                f"it is {today:%Y-%m-%d}."
            )
        await self._put(CLOSE_REQUESTS, request.to_document(), request.transaction_id)

    async def _put(self, queue: str, document: dict[str, Any], transaction_id: str) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        await self._link.publish(OutgoingMessage(queue, body, transaction_id, timestamp=self._parts.now()))

"""Takes call events and close requests from the broker's queues into the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.broker.consumer import BatchConsumer, Postponed
from billing_service.broker.topology import CALL_EVENTS, CLOSE_REQUESTS
from billing_service.domain.call_event import CallEvent, CloseRequest
from billing_service.domain.errors import DomainError, InvalidFields
from billing_service.domain.money import Currency
from billing_service.durations import Seconds
from billing_service.errors import Conflict, NotFound
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.close_bill_request import close_bill_request
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.take_call_event import take_call_events

_BATCH_TIMEOUT_S: Final = 25.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


class IntakeWorkers:
    """The work of both queues; `works` are for a `BrokerLink`."""

    def __init__(
        self,
        database: Database,
        *,
        plans: CompiledPlans,
        currency: Currency,
        zone: tzinfo,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._plans = plans
        self._currency = currency
        self._zone = zone
        self._now = now
        self.works = (
            BatchConsumer(CALL_EVENTS, self.take_events, until_possible=self._until_database_is_there),
            BatchConsumer(
                CLOSE_REQUESTS,
                self.take_close_requests,
                until_possible=self._until_database_is_there,
                largest_batch=1,
            ),
        )

    async def take_events(self, documents: Sequence[Any]) -> list[str | None]:
        """Store a batch of call events in one transaction.

        An event that contradicts others is kept in the database with its reason, so it is no dead letter.
        """
        reasons: list[str | None] = []
        events: list[CallEvent] = []
        for document in documents:
            try:
                events.append(CallEvent.from_document(_fields(document), zone=self._zone))
                reasons.append(None)
            except InvalidFields as error:
                reasons.append(_told(error))
        if events:
            await self._run(
                lambda session: take_call_events(
                    session,
                    events,
                    plans=self._plans,
                    currency=self._currency,
                    zone=self._zone,
                    received_at=self._now(),
                )
            )
        return reasons

    async def take_close_requests(self, documents: Sequence[Any]) -> list[str | None]:
        """Close bills as requested, each in a transaction of its own."""
        return [await self._close(document) for document in documents]

    async def _close(self, document: Any) -> str | None:
        try:
            request = CloseRequest.from_document(_fields(document))
            await self._run(
                lambda session: close_bill_request(
                    session, request, currency=self._currency, zone=self._zone, at=self._now()
                )
            )
        except InvalidFields as error:
            return _told(error)
        except (NotFound, Conflict, DomainError) as error:
            return str(error)
        return None

    async def _run(self, work: Callable[[Session], Any]) -> None:
        try:
            await self._database.run(work, within_s=_BATCH_TIMEOUT_S)
        except DatabaseUnavailable as error:
            raise Postponed(str(error)) from error

    async def _until_database_is_there(self) -> None:
        pause_s: Seconds = _FIRST_PAUSE_S
        while True:
            try:
                await self._database.run(lambda session: session.execute(select(1)))
            except DatabaseUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                return


def _fields(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise InvalidFields.one("", "an object is expected")
    return document


def _told(error: InvalidFields) -> str:
    return "; ".join(f"{problem.field}: {problem.message}" for problem in error.problems)

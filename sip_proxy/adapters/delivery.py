"""Delivery of call records to billing: at least once, promptly, whatever happens on the way.

A record leaves the journal only when billing has given a final answer for it. Billing's unique key makes
a repeated delivery harmless.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import (
    DeliveryResult,
    RefusedByBilling,
    UnableToReachBilling,
    UnexpectedAnswer,
)
from sip_proxy.adapters.journal_store import UndeliveredRecord

LARGEST_BATCH = 500
# A delivery costs about the same for one record as for a hundred, so they keep this distance, and 2 s of it
# after a batch that tells of load; a record that comes alone is delivered at once.
_INTERVAL_S = 0.25
_LARGE_BATCH = 25
_INTERVALS_AFTER_LARGE_BATCH = 8

log = structlog.get_logger()


class RecordSource(Protocol):
    """Where undelivered records wait."""

    async def next_records(self, limit: int) -> list[UndeliveredRecord]:
        """Return the next records to deliver."""

    async def forget_records(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has these."""

    async def put_last(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has no answer for these: others go first."""


class RecordReceiver(Protocol):
    """Where records go."""

    async def deliver(self, records: Sequence[str]) -> list[DeliveryResult]:
        """Deliver records; return those that got a final answer."""


class Delivery:
    """Moves records from the journal to billing until there are none, then waits for the next."""

    def __init__(
        self,
        source: RecordSource,
        receiver: RecordReceiver,
        *,
        backoff: Backoff,
        undelivered: int,
        interval_s: float = _INTERVAL_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`undelivered`: how many records wait in the journal at the start."""
        self._source = source
        self._receiver = receiver
        self._backoff = backoff
        self._interval_s = interval_s
        self._sleep = sleep
        self._batch_limit = LARGEST_BATCH
        self._is_reported = False
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self.undelivered = undelivered
        self.delivered_count = 0
        self.rejected_count = 0

    def records_committed(self, count: int) -> None:
        """So many more records are in the journal."""
        self.undelivered += count
        self._wake.set()

    def billing_is_back(self) -> None:
        """Billing has just answered something else: there is no reason to wait any longer."""
        self._hurry.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._wake.clear()
            try:
                delivered = await self._deliver_batch()
            except (UnableToReachBilling, UnexpectedAnswer, sqlite3.Error) as error:
                self._report(error)
                await self._pause()
                continue
            if delivered is not None:
                is_large = delivered >= _LARGE_BATCH
                await self._sleep(self._interval_s * (_INTERVALS_AFTER_LARGE_BATCH if is_large else 1))
                await self._wake.wait()

    async def _deliver_batch(self) -> int | None:
        """Deliver the next records; return how many, or None when more may be waiting already."""
        limit = self._batch_limit
        records = await self._source.next_records(limit)
        if not records:
            # The truth, should a restart of the disk have made us count wrongly.
            self.undelivered = 0
            return 0
        try:
            results = await self._receiver.deliver([record.record for record in records])
        except RefusedByBilling as error:
            await self._narrow_down(records, error)
            return None
        sent = {record.record_id for record in records}
        final = [result for result in results if result.record_id in sent]
        for result in final:
            if result.rejection is not None:
                self.rejected_count += 1
                log.warning("record_rejected", record_id=result.record_id, reason=result.rejection)
        answered = {result.record_id for result in final}
        delivered = [record for record in records if record.record_id in answered]
        await self._source.forget_records(delivered)
        self.undelivered = max(0, self.undelivered - len(delivered))
        self.delivered_count += len(delivered)
        unanswered = [record for record in records if record.record_id not in answered]
        if unanswered:
            await self._source.put_last(unanswered)
            raise UnexpectedAnswer(f"{len(unanswered)} of {len(records)} records got no final answer")
        self._report_recovery()
        return len(records) if len(records) < limit else None

    async def _narrow_down(self, records: Sequence[UndeliveredRecord], error: RefusedByBilling) -> None:
        """Some record makes billing refuse the whole batch: find it by halving, and let the others pass."""
        if len(records) > 1:
            self._batch_limit = len(records) // 2
            return
        await self._source.put_last([records[0]])
        raise UnexpectedAnswer(f"record {records[0].record_id}: {error}")

    async def _pause(self) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.next_delay_s()):
                await self._hurry.wait()

    def _report(self, error: Exception) -> None:
        if not self._is_reported:
            self._is_reported = True
            log.warning("delivery_failed", error=str(error), undelivered=self.undelivered)

    def _report_recovery(self) -> None:
        self._backoff.reset()
        self._batch_limit = min(2 * self._batch_limit, LARGEST_BATCH)
        if self._is_reported:
            self._is_reported = False
            log.info("delivery_recovered", undelivered=self.undelivered)

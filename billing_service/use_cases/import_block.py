"""Take in one block of a file of calls: read it, and store what it says in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import compress
from typing import Final

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.call_files.lines import Block, Line
from billing_service.call_files.parsed import CallFileReader
from billing_service.call_files.read_block import ReadBlock, read_block
from billing_service.domain.call import Outcome
from billing_service.domain.call_event import CallEvent, record_id_of
from billing_service.domain.money import Currency
from billing_service.domain.wall_clock import EPOCH, MICROSECOND
from billing_service.errors import BillingServiceError
from billing_service.storage import tables
from billing_service.storage.tables import CallRecordReceipt
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.import_runs import Counts, note_progress
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_block import contradicting, store_call_block
from billing_service.use_cases.store_call_records import Receipt
from billing_service.use_cases.take_call_event import EventReceipt, take_call_events
from billing_service.use_cases.unassigned_numbers import NO_DEFAULT_PLAN, find_accounts_since

_BEYOND: Final = 1 << 63

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Import:
    """What to import and how. Without `import_id` nothing is noted of the run; a `dry_run` stores nothing.

    `file_zone` is for times without offset; `zone` is the billing time zone. `pause` is called with 0 after
    each block, and with seconds to wait while the database is away; it tells whether to try once more, and
    raises Stopped to end the import.
    """

    format: str | None
    file_zone: tzinfo
    plans: CompiledPlans
    currency: Currency
    zone: tzinfo
    clock: Callable[[], datetime]
    reject: Callable[[Line, str], None]
    pause: Callable[[float], bool]
    import_id: int | None = None
    dry_run: bool = False
    on_progress: Callable[[Counts, int], None] = field(default=lambda _counts, _read_bytes: None)


class Stopped(BillingServiceError):
    """The import was told to stop; what was read so far is stored."""

    def __init__(self) -> None:
        super().__init__("the import was stopped; the same command goes on where it was")


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What became of the lines of a block, and those that were rejected, in their order."""

    counts: Counts
    rejects: list[tuple[Line, str]]


class _Undo(Exception):
    def __init__(self, outcome: BlockOutcome) -> None:
        self.outcome = outcome


def take_block(database: Database, block: Block, reader: CallFileReader, wish: Import) -> BlockOutcome:
    """Read a block and store it, again and again while the database is away: what is stored is no harm.

    Raises:
        DatabaseUnavailable: the database stayed away until `pause` gave up.
        Stopped: `pause` raised it.
    """
    read = read_block(block, reader)
    delay_s = 0.5
    while True:
        try:
            return database.run_blocking(lambda session: _store(session, read, wish))
        except _Undo as undone:
            return undone.outcome
        except DatabaseUnavailable as error:
            log.warning("import_waits_for_database", reason=str(error))
            if not wish.pause(delay_s):
                raise
            delay_s = min(delay_s * 2, 10.0)


def _store(session: Session, read: ReadBlock, wish: Import) -> BlockOutcome:
    rejects = list(read.rejects)
    received_at = wish.clock()
    counts = Counts(lines=read.block.last_number, rejected=len(rejects))
    for more in (
        _store_calls(session, read, wish, received_at),
        _take_events(session, read.events, wish, received_at),
    ):
        counts += more.counts
        rejects += more.rejects
    outcome = BlockOutcome(counts, sorted(rejects, key=lambda reject: reject[0].number))
    if wish.dry_run:
        raise _Undo(outcome)
    if wish.import_id is not None:
        note_progress(session, wish.import_id, counts, read.block.read_bytes, received_at)
    return outcome


def _store_calls(session: Session, read: ReadBlock, wish: Import, received_at: datetime) -> BlockOutcome:
    calls, numbers = read.calls, read.numbers
    if not len(calls):
        return BlockOutcome(Counts(), [])
    callers = find_accounts_since(session, _first_calls(read, received_at), zone=wish.zone)
    rejected: list[tuple[int, str]] = []
    if callers.unknown:
        is_unknown = np.array([caller in callers.unknown for caller in calls.callers], np.bool_)
        rejected += [(number, NO_DEFAULT_PLAN) for number in numbers[is_unknown].tolist()]
        known = np.flatnonzero(~is_unknown)
        calls, numbers = calls.take(known), numbers[known]
    stored = store_call_block(
        session, calls, plans=wish.plans, currency=wish.currency, zone=wish.zone, received_at=received_at
    )
    rejected += [(int(numbers[place]), reason) for place, reason in stored.rejected.items()]
    unassigned = 0
    if callers.unassigned:
        unassigned = sum(
            caller in callers.unassigned for caller in compress(calls.callers, stored.new.tolist())
        )
    return BlockOutcome(
        Counts(
            stored=int(stored.new.sum()),
            already_had=int(stored.had.sum()),
            rejected=len(rejected),
            unassigned=unassigned,
            unrated=stored.unrated,
            total_price=stored.price.to_decimal(),
        ),
        read.block.with_lines(rejected),
    )


def _first_calls(read: ReadBlock, received_at: datetime) -> dict[str, datetime]:
    """When each caller made his first call of a block. One that contradicts itself opens no account."""
    first: dict[str, int] = {}
    unsound = contradicting(read.calls, received_at)
    for place, (caller, invited_us) in enumerate(
        zip(read.calls.callers, read.calls.invited_us.tolist(), strict=True)
    ):
        if place not in unsound and invited_us < first.get(caller, _BEYOND):
            first[caller] = invited_us
    return {caller: EPOCH + invited_us * MICROSECOND for caller, invited_us in first.items()}


def _take_events(
    session: Session, lines: Sequence[tuple[Line, CallEvent]], wish: Import, received_at: datetime
) -> BlockOutcome:
    if not lines:
        return BlockOutcome(Counts(), [])
    results = take_call_events(
        session,
        [event for _, event in lines],
        plans=wish.plans,
        currency=wish.currency,
        zone=wish.zone,
        received_at=received_at,
        keep_rejected=False,
    )
    rejects = [
        (line, result.reason or "it was rejected")
        for (line, _), result in zip(lines, results, strict=True)
        if result.receipt is EventReceipt.REJECTED
    ]
    made = [
        record_id_of(event.call_id)
        for (_, event), result in zip(lines, results, strict=True)
        if result.call is Receipt.STORED
    ]
    price, unrated = _prices(session, made)
    receipts = [result.receipt for result in results]
    return BlockOutcome(
        Counts(
            stored=receipts.count(EventReceipt.TAKEN),
            already_had=receipts.count(EventReceipt.REPEATED),
            rejected=len(rejects),
            unassigned=sum(result.unassigned for result in results),
            unrated=unrated,
            total_price=price,
        ),
        rejects,
    )


def _prices(session: Session, record_ids: Sequence[str]) -> tuple[Decimal, int]:
    """The sum of the prices of calls that events just made, and how many of them have none."""
    if not record_ids:
        return Decimal(0), 0
    call, receipt = tables.Call, CallRecordReceipt
    unrated = func.count().filter(call.price.is_(None), call.outcome == Outcome.ANSWERED.value)
    total, without = session.execute(
        select(func.coalesce(func.sum(call.price), 0), unrated)
        .join(receipt, (receipt.record_id == call.record_id) & (receipt.invited_at == call.invited_at))
        .where(receipt.record_id.in_(record_ids))
    ).one()
    return total or Decimal(0), without

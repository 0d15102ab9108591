"""Import a file of calls: block by block, each in a transaction of its own, and safe to repeat.

Every call has an identifier that follows from its line, so a file that is imported again, be it after a
`kill -9` in the middle, stores what is missing and nothing twice. How far a run is (`import_runs.py`) is
written in the transactions that store the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import chain
from typing import BinaryIO

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.call_files.formats import reader_of, recognise
from billing_service.call_files.lines import Block, Line, read_blocks
from billing_service.call_files.parsed import CallFileReader
from billing_service.domain.call import Call, Outcome
from billing_service.domain.call_event import CallEvent, record_id_of
from billing_service.domain.money import Currency
from billing_service.errors import BillingServiceError
from billing_service.storage import tables
from billing_service.storage.tables import CallRecordReceipt
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.change_settings import read_settings
from billing_service.use_cases.import_runs import Counts, note_format, note_progress
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_records import CallFacts, Receipt, facts_of, store_calls
from billing_service.use_cases.take_call_event import EventReceipt, take_call_events
from billing_service.use_cases.unassigned_numbers import NO_DEFAULT_PLAN, find_accounts_for

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


class _Undo(Exception):
    def __init__(self, outcome: _Outcome) -> None:
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Read:
    """What the lines of a block say, with the texts as which the calls are stored."""

    calls: list[tuple[Line, Call]] = field(default_factory=list)
    facts: list[CallFacts] = field(default_factory=list)
    events: list[tuple[Line, CallEvent]] = field(default_factory=list)
    rejects: list[tuple[Line, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Outcome:
    counts: Counts
    rejects: list[tuple[Line, str]]


def import_calls(database: Database, file: BinaryIO, wish: Import) -> Counts:
    """Import a file that is at its beginning, and return what became of its lines. Blocks.

    Raises:
        UnableToReadFile: the format is not recognised, or the file is damaged; what came before is stored.
        DatabaseUnavailable: the database stayed away until `pause` gave up.
        Stopped: `pause` raised it.
    """
    emergency = database.run_blocking(lambda session: frozenset(read_settings(session).emergency_numbers))
    blocks = read_blocks(file)
    first = next(blocks, None)
    name = wish.format or recognise([] if first is None else first.lines)
    if wish.import_id is not None and not wish.dry_run:
        import_id = wish.import_id
        database.run_blocking(lambda session: note_format(session, import_id, name))
    reader = reader_of(name, zone=wish.file_zone, emergency_numbers=emergency)
    total = Counts()

    def finish(block: Block, storing: Future[_Outcome]) -> None:
        nonlocal total
        outcome = storing.result()
        for line, reason in outcome.rejects:
            wish.reject(line, reason)
        total += outcome.counts
        wish.on_progress(total, block.read_bytes)
        wish.pause(0)

    # One block is read while the one before is stored; whatever needs no database belongs to the reading.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="import") as thread:
        under_way: tuple[Block, Future[_Outcome]] | None = None
        try:
            for block in chain([] if first is None else [first], blocks):
                parsed = _read(block, reader)
                last, under_way = under_way, None
                if last is not None:
                    finish(*last)
                under_way = block, thread.submit(_store, database, parsed, block, wish)
        finally:
            # Also when the file can't be read on: what was read counts.
            if under_way is not None:
                finish(*under_way)
    return total


def _read(block: Block, reader: CallFileReader) -> _Read:
    read = _Read()
    for line, content in reader.read(block.lines):
        if isinstance(content, Call):
            read.calls.append((line, content))
            read.facts.append(facts_of(content))
        elif isinstance(content, str):
            read.rejects.append((line, content))
        else:
            read.events.append((line, content))
    return read


def _store(database: Database, parsed: _Read, block: Block, wish: Import) -> _Outcome:
    """Store a block, again and again while the database is away: what is stored already is no harm."""
    delay_s = 0.5
    while True:
        try:
            return database.run_blocking(lambda session: _store_block(session, parsed, block, wish))
        except _Undo as undone:
            return undone.outcome
        except DatabaseUnavailable as error:
            log.warning("import_waits_for_database", reason=str(error))
            if not wish.pause(delay_s):
                raise
            delay_s = min(delay_s * 2, 10.0)


def _store_block(session: Session, parsed: _Read, block: Block, wish: Import) -> _Outcome:
    rejects = list(parsed.rejects)
    last_line = block.lines[-1].number
    received_at = wish.clock()
    counts = Counts(lines=last_line, rejected=len(rejects))
    for more in (
        _store_calls(session, parsed.calls, parsed.facts, wish, received_at),
        _take_events(session, parsed.events, wish, received_at),
    ):
        counts += more.counts
        rejects += more.rejects
    outcome = _Outcome(counts, sorted(rejects, key=lambda reject: reject[0].number))
    if wish.dry_run:
        raise _Undo(outcome)
    if wish.import_id is not None:
        note_progress(session, wish.import_id, counts, block.read_bytes, received_at)
    return outcome


def _store_calls(
    session: Session,
    lines: Sequence[tuple[Line, Call]],
    facts: Sequence[CallFacts],
    wish: Import,
    received_at: datetime,
) -> _Outcome:
    if not lines:
        return _Outcome(Counts(), [])
    callers = find_accounts_for(session, (call for _, call in lines), zone=wish.zone)
    rejects = [(line, NO_DEFAULT_PLAN) for line, call in lines if call.caller in callers.unknown]
    known, known_facts = lines, facts
    if rejects:
        known = [(line, call) for line, call in lines if call.caller not in callers.unknown]
        known_facts = [
            one for one, (_, call) in zip(facts, lines, strict=True) if call.caller not in callers.unknown
        ]
    intake = store_calls(
        session,
        [call for _, call in known],
        facts=known_facts,
        plans=wish.plans,
        currency=wish.currency,
        zone=wish.zone,
        received_at=received_at,
    )
    stored: list[Call] = []
    had = 0
    for (line, call), result in zip(known, intake.results, strict=True):
        match result.receipt:
            case Receipt.STORED:
                stored.append(call)
            case Receipt.DUPLICATE:
                had += 1
            case Receipt.REJECTED:
                rejects.append((line, result.reason or "it was rejected"))
    return _Outcome(
        Counts(
            stored=len(stored),
            already_had=had,
            rejected=len(rejects),
            unassigned=sum(call.caller in callers.unassigned for call in stored),
            unrated=intake.unrated,
            total_price=intake.price.to_decimal(),
        ),
        rejects,
    )


def _take_events(
    session: Session, lines: Sequence[tuple[Line, CallEvent]], wish: Import, received_at: datetime
) -> _Outcome:
    if not lines:
        return _Outcome(Counts(), [])
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
    return _Outcome(
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

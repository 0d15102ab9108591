"""Take in call events: each once, in either order, and make a call record of a start and its end."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import Enum
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_service.domain.call import Call
from billing_service.domain.call_event import CallEvent, Contradiction, EventKind, EventPair
from billing_service.domain.money import Currency
from billing_service.storage.rejected_records import keep_rejected
from billing_service.storage.storable_text import make_document_storable
from billing_service.storage.tables import CallEventPair
from billing_service.use_cases.change_settings import read_settings
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_records import Delivery, Receipt, store_call_records
from billing_service.use_cases.unassigned_numbers import NO_DEFAULT_PLAN, find_accounts_for

log = structlog.get_logger(__name__)


class EventReceipt(Enum):
    """What became of an event."""

    TAKEN = "taken"
    REPEATED = "repeated"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of an event, and why when it was rejected.

    `call` is what became of the call record when the event was the second of its pair, and `unassigned`
    whether its caller was nobody's.
    """

    receipt: EventReceipt
    reason: str | None = None
    call: Receipt | None = None
    unassigned: bool = False


def take_call_events(
    session: Session,
    events: Sequence[CallEvent],
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
    received_at: datetime,
    keep_rejected: bool = True,
) -> list[EventResult]:
    """Take in events in the order in which they came, and return a result for each.

    The same events may come again, and to several takers at once: a call record is made once. The caller of
    a started call gets an account, if nobody has the number. An event that contradicts an earlier one is kept
    apart with the reason, unless `keep_rejected` is off because the caller sees to it.
    """
    rows = _lock_pairs(session, {event.call_id for event in events}, received_at)
    results: list[EventResult] = []
    finished: dict[str, int] = {}
    for index, event in enumerate(events):
        row = rows[event.call_id]
        before = _to_pair(row)
        after = before.with_event(event, received_at=received_at)
        if isinstance(after, Contradiction):
            results.append(EventResult(EventReceipt.REJECTED, after.reason))
            continue
        results.append(EventResult(EventReceipt.REPEATED if after is before else EventReceipt.TAKEN))
        if after is not before:
            _note(row, event)
        if after.is_complete and row.record_id is None:
            finished.setdefault(event.call_id, index)
    if keep_rejected:
        _keep_rejected(
            session,
            (
                (event, result.reason)
                for event, result in zip(events, results, strict=True)
                if result.reason is not None
            ),
        )
    emergency = frozenset(read_settings(session).emergency_numbers)
    calls = [
        _to_pair(rows[call_id]).to_call(emergency=rows[call_id].destination in emergency)
        for call_id in finished
    ]
    callers = find_accounts_for(session, [*calls, *_only_started(rows.values(), finished)], zone=zone)
    made = store_call_records(
        session,
        [
            Delivery(call_document(call), None, NO_DEFAULT_PLAN)
            if call.caller in callers.unknown
            else Delivery(call_document(call), call)
            for call in calls
        ],
        plans=plans,
        currency=currency,
        zone=zone,
        received_at=received_at,
    )
    for index, call, result in zip(finished.values(), calls, made, strict=True):
        # Also when it was rejected: it waits among the rejected records, no longer among the unpaired calls.
        rows[call.call_id].record_id = call.record_id
        results[index] = EventResult(
            results[index].receipt, call=result.receipt, unassigned=call.caller in callers.unassigned
        )
    session.flush()
    return results


def call_document(call: Call) -> dict[str, Any]:
    """A call as a call record in the form of `docs/api/internal.md`."""

    def instant(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "record_id": call.record_id,
        "call_id": call.call_id,
        "caller": call.caller,
        "callee": call.callee,
        "emergency": call.emergency,
        "invited_at": instant(call.invited_at),
        "ringing_at": instant(call.ringing_at),
        "answered_at": instant(call.answered_at),
        "acknowledged_at": instant(call.acknowledged_at),
        "ended_at": instant(call.ended_at),
        "duration_us": call.duration_us,
        "outcome": call.outcome.value,
        "status": call.status,
        "reason": call.reason,
        "ended_by": call.ended_by.value,
    }


def _keep_rejected(session: Session, rejected: Iterable[tuple[CallEvent, str]]) -> None:
    """Keep events apart with the reason, each once however often it comes."""
    rows = {}
    for event, reason in rejected:
        document = make_document_storable(event.to_document())
        digest = sha256(json.dumps(["event", document], sort_keys=True).encode()).digest()
        rows[digest] = {"digest": digest, "reason": reason, "record": document, "kind": "call_event"}
        log.warning("call_event_rejected", call_id=event.call_id, reason=reason)
    keep_rejected(session, rows)


def list_unpaired(
    session: Session, *, before: tuple[datetime, str] | None, limit: int
) -> Sequence[CallEventPair]:
    """Calls of which one event is missing, or of which no record could be made; newest first."""
    query = (
        select(CallEventPair)
        .where(CallEventPair.record_id.is_(None))
        .order_by(CallEventPair.received_at.desc(), CallEventPair.call_id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(CallEventPair.received_at, CallEventPair.call_id) < before)
    return session.scalars(query).all()


def _lock_pairs(
    session: Session, call_ids: Collection[str], received_at: datetime
) -> dict[str, CallEventPair]:
    """The row of each call, made if there was none. In one order, so that two takers wait, not deadlock."""
    if not call_ids:
        return {}
    ordered = sorted(call_ids)
    session.execute(
        insert(CallEventPair).on_conflict_do_nothing(index_elements=[CallEventPair.call_id]),
        [{"call_id": call_id, "received_at": received_at} for call_id in ordered],
    )
    rows = session.scalars(
        select(CallEventPair)
        .where(CallEventPair.call_id.in_(ordered))
        .order_by(CallEventPair.call_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.call_id: row for row in rows}


def _to_pair(row: CallEventPair) -> EventPair:
    start = end = None
    if row.start_event_id is not None and row.started_at is not None:
        start = CallEvent(
            row.start_event_id, EventKind.START, row.started_at, row.call_id, row.source, row.destination
        )
    if row.end_event_id is not None and row.ended_at is not None:
        end = CallEvent(row.end_event_id, EventKind.END, row.ended_at, row.call_id, row.end_source, None)
    return EventPair(row.call_id, start, end)


def _note(row: CallEventPair, event: CallEvent) -> None:
    if event.kind is EventKind.START:
        row.start_event_id, row.started_at = event.event_id, event.at
        row.source, row.destination = event.source, event.destination
    else:
        row.end_event_id, row.ended_at, row.end_source = event.event_id, event.at, event.source


def _only_started(rows: Iterable[CallEventPair], finished: Collection[str]) -> Iterator[Call]:
    """Calls that have begun, as if they were over at once: a number gets its account with its first event."""
    for row in rows:
        start = _to_pair(row).start
        if start is not None and row.call_id not in finished and row.record_id is None:
            end = replace(start, kind=EventKind.END, source=None, destination=None)
            yield EventPair(row.call_id, start, end).to_call(emergency=False)

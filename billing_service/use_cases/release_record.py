"""Release rejected call records and events, as they are or corrected, or dismiss them for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.call import Call
from billing_service.domain.call_event import CallEvent
from billing_service.domain.money import Currency
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.tables import RejectedCallRecord
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_records import Delivery, Receipt, store_call_records
from billing_service.use_cases.take_call_event import (
    EventReceipt,
    call_document,
    take_call_events,
)
from billing_service.use_cases.unassigned_numbers import NO_DEFAULT_PLAN, find_accounts_for

PENDING: Final = "pending"
RELEASED: Final = "released"
DISMISSED: Final = "dismissed"
CALL_EVENT: Final = "call_event"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who settles a rejected record, when, and with which note."""

    actor: str
    at: datetime
    note: str = ""


def read_rejected(session: Session, record_id: int) -> RejectedCallRecord:
    """A rejected record that is pending, locked.

    Raises:
        NotFound: there is none with this identifier.
        Conflict: it was released or dismissed before.
    """
    row = session.scalar(
        select(RejectedCallRecord)
        .where(RejectedCallRecord.id == record_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound(f"There is no rejected call record {record_id}.")
    if row.state != PENDING:
        raise Conflict(f"The rejected call record {record_id} is {row.state} already.")
    return row


def release_call(
    session: Session,
    row: RejectedCallRecord,
    call: Call,
    corrections: Mapping[str, Any],
    resolution: Resolution,
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
) -> None:
    """Take in a rejected record with these facts; it is no harm when just these were stored already.

    Raises:
        Conflict: it can't be right like this either; it stays rejected.
    """
    # A call through the exchange may be nobody's; one that was posted must have an account.
    if row.reason == NO_DEFAULT_PLAN and find_accounts_for(session, [call], zone=zone).unknown:
        raise Conflict(f"It can't be released: {NO_DEFAULT_PLAN}.")
    (result,) = store_call_records(
        session,
        [Delivery(call_document(call), call)],
        plans=plans,
        currency=currency,
        zone=zone,
        received_at=resolution.at,
    )
    if result.receipt is Receipt.REJECTED:
        raise Conflict(f"It can't be released like this: {result.reason}.")
    _settle(session, row, RELEASED, resolution, corrections, released_as=call.record_id)


def release_event(
    session: Session,
    row: RejectedCallRecord,
    event: CallEvent,
    corrections: Mapping[str, Any],
    resolution: Resolution,
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
) -> None:
    """Take in a rejected event with these facts.

    Raises:
        Conflict: it contradicts what is known like this, too; it stays rejected.
    """
    (result,) = take_call_events(
        session,
        [event],
        plans=plans,
        currency=currency,
        zone=zone,
        received_at=resolution.at,
        keep_rejected=False,
    )
    if result.receipt is EventReceipt.REJECTED:
        raise Conflict(f"It can't be released like this: {result.reason}.")
    _settle(session, row, RELEASED, resolution, corrections, released_as=event.call_id)


def dismiss_record(session: Session, record_id: int, resolution: Resolution) -> RejectedCallRecord:
    """Decide that nothing will come of a rejected record; it stays in the list with who said so.

    Raises:
        NotFound: there is none with this identifier.
        Conflict: it was released or dismissed before.
    """
    row = read_rejected(session, record_id)
    _settle(session, row, DISMISSED, resolution, {}, released_as=None)
    return row


def _settle(
    session: Session,
    row: RejectedCallRecord,
    state: str,
    resolution: Resolution,
    corrections: Mapping[str, Any],
    *,
    released_as: str | None,
) -> None:
    row.state, row.resolved_at, row.resolved_by = state, resolution.at, resolution.actor
    row.resolution, row.released_as = resolution.note, released_as
    record_change(
        session,
        actor=resolution.actor,
        action="release" if state == RELEASED else "dismiss",
        subject_kind="rejected_call_record",
        subject=row.id,
        changes={
            "reason": row.reason,
            "corrections": dict(corrections),
            "released_as": released_as,
            "note": resolution.note,
        },
    )
    session.flush()

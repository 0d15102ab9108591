"""Events that wait in the outbox for the broker: read in order, and taken off once it has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_service.storage.outbox import BROKER
from billing_service.storage.tables import EventSink, OutboxEvent, WebhookDelivery

SENT_AT_ONCE: Final = 500
# Any number, the same for everybody who sends: one at a time, or the order would be lost.
_SENDING_LOCK: Final = 0x70115E19


def event_document(event: OutboxEvent) -> dict[str, Any]:
    """An event as receivers get it (`docs/api/events.schema.json`)."""
    return {
        "id": str(event.event_id),
        "type": event.kind,
        "timestamp": _instant(event.occurred_at),
        "account": event.account,
        "data": event.data,
    }


def note_broker(session: Session, *, configured: bool) -> None:
    """Let events be written for the broker from now on, or no more."""
    if configured:
        session.execute(insert(EventSink).values(name=BROKER).on_conflict_do_nothing())
    else:
        session.execute(delete(EventSink).where(EventSink.name == BROKER))


def count_waiting(session: Session) -> int:
    """How many events wait for the broker."""
    return session.scalar(select(func.count()).where(OutboxEvent.for_broker)) or 0


def send_waiting(session: Session, send: Callable[[Sequence[dict[str, Any]]], None]) -> int:
    """Send the next events in their order; returns how many, 0 when none waits or another sender is at it.

    What `send` has returned from is sent for good only with this transaction: after a crash in between, the
    same events are sent again.
    """
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_SENDING_LOCK))):
        return 0
    events = session.scalars(
        select(OutboxEvent).where(OutboxEvent.for_broker).order_by(OutboxEvent.id).limit(SENT_AT_ONCE)
    ).all()
    if not events:
        return 0
    send([event_document(event) for event in events])
    ids = [event.id for event in events]
    session.execute(
        update(OutboxEvent)
        .where(OutboxEvent.id.in_(ids))
        .values(for_broker=False)
        .execution_options(synchronize_session=False)
    )
    # What no webhook has in its log is of no more use.
    logged = exists().where(WebhookDelivery.event_id == OutboxEvent.id)
    session.execute(
        delete(OutboxEvent)
        .where(OutboxEvent.id.in_(ids), ~OutboxEvent.for_webhooks, ~logged)
        .execution_options(synchronize_session=False)
    )
    return len(events)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

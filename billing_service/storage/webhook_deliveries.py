"""Deliveries to webhooks: made from the outbox, claimed by senders, and what came of them.

Several processes may do all of this at once. An account's events reach a webhook one after the other, in
their order: none is claimed while an earlier one is pending.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import any_, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from billing_service.storage.tables import OutboxEvent, Webhook, WebhookDelivery
from billing_service.storage.waiting_events import event_document

ROUTED_AT_ONCE: Final = 1000
# Any number, the same for everybody who routes: one at a time, or the order would be lost.
_ROUTING_LOCK: Final = 0x70115E18


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """What one attempt needs. `secrets` sign; there are two for a day after a change."""

    id: int
    webhook_id: int
    url: str
    secrets: tuple[str, ...]
    event: dict[str, Any]
    attempts: int
    """This one included."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What came of an attempt: the receiver's status, if it gave one, and what was wrong, if anything."""

    status: int | None
    error: str | None
    retry_after: timedelta | None = None
    """What the receiver asked for."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.error is None


def route_events(session: Session, *, now: datetime) -> int:
    """Give each new event to the webhooks that want it; returns how many events that were."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_ROUTING_LOCK))):
        return 0
    batch = session.scalars(
        select(OutboxEvent.id).where(OutboxEvent.for_webhooks).order_by(OutboxEvent.id).limit(ROUTED_AT_ONCE)
    ).all()
    if not batch:
        return 0
    every_kind = func.cardinality(Webhook.kinds) == 0
    session.execute(
        insert(WebhookDelivery).from_select(
            ["webhook_id", "event_id", "account", "next_attempt_at"],
            select(Webhook.id, OutboxEvent.id, OutboxEvent.account, literal(now))
            .join_from(OutboxEvent, Webhook, or_(every_kind, OutboxEvent.kind == any_(Webhook.kinds)))
            .where(Webhook.active, OutboxEvent.id.in_(batch))
            .order_by(OutboxEvent.id),
        )
    )
    session.execute(
        update(OutboxEvent)
        .where(OutboxEvent.id.in_(batch))
        .values(for_webhooks=False)
        .execution_options(synchronize_session=False)
    )
    return len(batch)


def webhooks_with_work(session: Session, *, now: datetime) -> tuple[list[int], datetime | None]:
    """Which webhooks have something to send now, and when the next one of the others will."""
    first = (
        select(func.min(WebhookDelivery.next_attempt_at))
        .where(WebhookDelivery.webhook_id == Webhook.id, WebhookDelivery.state == "pending")
        .scalar_subquery()
    )
    rows = session.execute(
        select(Webhook.id, first, Webhook.resume_at).where(Webhook.active).order_by(Webhook.id)
    )
    due: dict[int, datetime] = {}
    for webhook_id, at, resume_at in rows:
        first_at: datetime | None = at
        if first_at is not None:
            due[webhook_id] = max(first_at, resume_at or first_at)
    ready = [webhook_id for webhook_id, at in due.items() if at <= now]
    return ready, min((at for at in due.values() if at > now), default=None)


def claim_deliveries(
    session: Session, webhook_id: int, *, now: datetime, lease: timedelta, limit: int
) -> list[ClaimedDelivery]:
    """Take deliveries that are due, for as long as the lease; who dies meanwhile leaves them to others."""
    webhook = session.scalar(
        select(Webhook).where(
            Webhook.id == webhook_id,
            Webhook.active,
            or_(Webhook.resume_at.is_(None), Webhook.resume_at <= now),
        )
    )
    if webhook is None:
        return []
    earlier = aliased(WebhookDelivery)
    must_wait = exists().where(
        earlier.webhook_id == webhook_id,
        earlier.account == WebhookDelivery.account,
        earlier.event_id < WebhookDelivery.event_id,
        earlier.state == "pending",
    )
    due = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.state == "pending",
            WebhookDelivery.next_attempt_at <= now,
            ~must_wait,
        )
        .order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.event_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(due))
        .values(attempts=WebhookDelivery.attempts + 1, last_attempt_at=now, next_attempt_at=now + lease)
        .returning(WebhookDelivery.id, WebhookDelivery.event_id, WebhookDelivery.attempts)
        .execution_options(synchronize_session=False)
    ).all()
    events = {
        event.id: event_document(event)
        for event in session.scalars(
            select(OutboxEvent).where(OutboxEvent.id.in_([event_id for _, event_id, _ in claimed]))
        )
    }
    secrets = [webhook.secret]
    if webhook.previous_secret is not None and (webhook.previous_secret_until or now) > now:
        secrets.append(webhook.previous_secret)
    return [
        ClaimedDelivery(delivery_id, webhook_id, webhook.url, tuple(secrets), events[event_id], attempts)
        for delivery_id, event_id, attempts in sorted(claimed, key=lambda row: row[1])
    ]


def note_success(
    session: Session, delivery: ClaimedDelivery, result: AttemptResult, *, now: datetime
) -> None:
    """The receiver has it."""
    _note(session, delivery, state="delivered", delivered_at=now, last_status=result.status, last_error=None)
    session.execute(
        update(Webhook)
        .where(Webhook.id == delivery.webhook_id, or_(Webhook.failures > 0, Webhook.resume_at.is_not(None)))
        .values(failures=0, resume_at=None)
    )


def note_failure(
    session: Session,
    delivery: ClaimedDelivery,
    result: AttemptResult,
    *,
    next_attempt_at: datetime | None,
) -> None:
    """The receiver did not take it; without a next attempt it is given up."""
    values: dict[str, Any] = {"last_status": result.status, "last_error": result.error}
    if next_attempt_at is None:
        _note(session, delivery, state="given_up", **values)
    else:
        _note(session, delivery, next_attempt_at=next_attempt_at, **values)


def remove_old_events(session: Session, *, before: datetime, limit: int = 5000) -> int:
    """Remove events from before an instant, and the log of their deliveries; what still waits stays."""
    waits = exists().where(WebhookDelivery.event_id == OutboxEvent.id, WebhookDelivery.state == "pending")
    old = (
        select(OutboxEvent.id)
        .where(OutboxEvent.created_at < before, ~OutboxEvent.for_broker, ~OutboxEvent.for_webhooks, ~waits)
        .limit(limit)
    )
    removed = session.execute(
        delete(OutboxEvent)
        .where(OutboxEvent.id.in_(old))
        .returning(OutboxEvent.id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())


def _note(session: Session, delivery: ClaimedDelivery, **values: Any) -> None:
    # Only this attempt's own: another sender may have it when the lease was over.
    session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == delivery.id,
            WebhookDelivery.state == "pending",
            WebhookDelivery.attempts == delivery.attempts,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def failing_webhook(session: Session, webhook_id: int) -> Webhook | None:
    """The webhook, locked, to count a failure of it."""
    return session.scalar(select(Webhook).where(Webhook.id == webhook_id).with_for_update())

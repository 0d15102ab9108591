"""Events on their way out: the outbox, who gets them, and what became of each delivery."""

import uuid
from datetime import datetime

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, SmallInteger, Text, Uuid, event, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Document, Identifier
from billing_service.storage.tables.accounts import one_of

DELIVERY_STATES = ("pending", "delivered", "given_up")
EVENTS_CHANNEL = "tollbell_events"

# Per statement and not per row: one announcement for a closing of thousands.
_ANNOUNCEMENT = (
    f"""
CREATE FUNCTION announce_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('{EVENTS_CHANNEL}', '');
  RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER announce AFTER INSERT ON outbox_events
FOR EACH STATEMENT EXECUTE FUNCTION announce_events()
""",
)


class EventSink(Base):
    """A way out that takes every event: a row named `broker` while the service is configured with one."""

    __tablename__ = "event_sinks"

    name: Mapped[str] = mapped_column(primary_key=True)


class OutboxEvent(Base):
    """An event, written by the transaction that caused it, until it is sent and no longer shown.

    The order of `id` is the order of events of an account: whoever changes an account holds its row.
    `for_broker` and `for_webhooks` say who has yet to take it.
    """

    __tablename__ = "outbox_events"
    __table_args__ = (
        Index("ix_outbox_events_for_broker", "id", postgresql_where=text("for_broker")),
        Index("ix_outbox_events_for_webhooks", "id", postgresql_where=text("for_webhooks")),
        Index("ix_outbox_events_created_at", "created_at"),
    )

    id: Mapped[Identifier]
    event_id: Mapped[uuid.UUID] = mapped_column(Uuid, server_default=func.gen_random_uuid())
    kind: Mapped[str]
    account: Mapped[str | None]
    occurred_at: Mapped[datetime]
    data: Mapped[Document]
    for_broker: Mapped[bool]
    for_webhooks: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Webhook(Base):
    """A receiver of events. No `kinds` are all kinds. The secret signs, so it is kept as it is.

    `failures` counts vain attempts since the last success; until `resume_at` none is made at all.
    """

    __tablename__ = "webhooks"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures_not_negative"),)

    id: Mapped[Identifier]
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'::text[]"))
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    resume_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookDelivery(Base):
    """That a webhook gets an event, and how far that is.

    `next_attempt_at` is also the lease of who is sending it: a sender moves it to when others may assume
    that it has died.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint(one_of("state", DELIVERY_STATES), name="state_known"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_has_instant"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_deliveries_event_id", "event_id"),
        Index(
            "ix_webhook_deliveries_pending",
            "webhook_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_webhook_deliveries_order",
            "webhook_id",
            "account",
            "event_id",
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: Mapped[Identifier]
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(ForeignKey("outbox_events.id", ondelete="CASCADE"))
    account: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime]
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


for statement in _ANNOUNCEMENT:
    event.listen(Base.metadata, "after_create", DDL(statement))  # type: ignore[no-untyped-call]

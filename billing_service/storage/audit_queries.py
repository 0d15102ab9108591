"""Reading who changed what, and what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, literal, null, select, tuple_, union_all
from sqlalchemy.orm import Session

from billing_service.storage.tables import (
    AuditEntry,
    ClosingFailure,
    PhoneAccount,
    RejectedCallRecord,
    WebhookDelivery,
)

ERROR_KINDS = ("rejected_record", "closing_failure", "delivery_failure")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list; instants half-open."""

    actor: str | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject: str | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None


def list_audit_log(
    session: Session, wanted: AuditFilter, *, before_id: int | None, limit: int
) -> Sequence[AuditEntry]:
    """Return entries, newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    for column, value in (
        (AuditEntry.actor, wanted.actor),
        (AuditEntry.action, wanted.action),
        (AuditEntry.subject_kind, wanted.subject_kind),
        (AuditEntry.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.recorded_from is not None:
        query = query.where(AuditEntry.recorded_at >= wanted.recorded_from)
    if wanted.recorded_to is not None:
        query = query.where(AuditEntry.recorded_at < wanted.recorded_to)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return session.scalars(query).all()


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """Something that went wrong and that a person should see to. `id` is that of the thing of its kind."""

    occurred_at: datetime
    kind: str
    id: int
    account: str | None
    reason: str


def list_errors(
    session: Session, *, kind: str | None, before: tuple[datetime, str, int] | None, limit: int
) -> Sequence[ErrorEntry]:
    """Return what went wrong, newest first: records rejected, periods not closed, events not delivered."""
    branches = {
        "rejected_record": _branch(
            "rejected_record",
            RejectedCallRecord.received_at,
            RejectedCallRecord.id,
            null(),
            RejectedCallRecord.reason,
        ).where(RejectedCallRecord.state == "pending"),
        "closing_failure": _branch(
            "closing_failure",
            ClosingFailure.failed_at,
            ClosingFailure.id,
            PhoneAccount.number,
            ClosingFailure.reason,
        ).join(PhoneAccount, PhoneAccount.id == ClosingFailure.account_id),
        "delivery_failure": _branch(
            "delivery_failure",
            WebhookDelivery.last_attempt_at,
            WebhookDelivery.id,
            WebhookDelivery.account,
            WebhookDelivery.last_error,
        ).where(WebhookDelivery.state == "given_up", WebhookDelivery.last_attempt_at.is_not(None)),
    }
    parts = []
    for name, branch in branches.items():
        if kind not in (None, name):
            continue
        occurred_at, number = branch.selected_columns[0], branch.selected_columns[2]
        if before is not None:
            older = branch.where(tuple_(occurred_at, literal(name), number) < before)
        else:
            older = branch
        # Each kind by itself needs no more than a page.
        newest = older.order_by(occurred_at.desc(), number.desc()).limit(limit).subquery()
        parts.append(select(newest))
    everything = union_all(*parts).subquery()
    query = (
        select(everything)
        .order_by(everything.c.occurred_at.desc(), everything.c.kind.desc(), everything.c.id.desc())
        .limit(limit)
    )
    return [
        ErrorEntry(row.occurred_at, row.kind, row.id, row.account, row.reason or "")
        for row in session.execute(query)
    ]


def _branch(
    kind: str,
    occurred_at: SQLColumnExpression[Any],
    number: SQLColumnExpression[int],
    account: SQLColumnExpression[Any],
    reason: SQLColumnExpression[Any],
) -> Select[Any, str, Any, Any, Any]:
    return select(
        occurred_at.label("occurred_at"),
        literal(kind).label("kind"),
        number.label("id"),
        account.label("account"),
        reason.label("reason"),
    )

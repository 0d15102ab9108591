"""The audit log: who changed what from what to what; and the error log: what went wrong."""

from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText, JsonObject
from billing_service.http_api.fields import Instant, format_instant, parse_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.services import services
from billing_service.storage.audit_queries import AuditFilter, list_audit_log, list_errors

operations = Operations("audit")

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ErrorKind = Literal["rejected_record", "closing_failure", "delivery_failure"]


class AuditQuery(PageQuery):
    """Which entries to list."""

    actor: Word | None = None
    action: Word | None = None
    subject_kind: Word | None = None
    subject: Word | None = None
    recorded_from: Annotated[Instant | None, Field(alias="from")] = None
    recorded_to: Annotated[Instant | None, Field(alias="to")] = None


class AuditEntryAnswer(AnswerModel):
    """One change: the values before it (`previous`, empty for what is new) and after it (`changes`)."""

    id: int
    recorded_at: InstantText
    actor: str
    action: str
    subject_kind: str
    subject: str
    previous: JsonObject
    changes: JsonObject


class ErrorQuery(PageQuery):
    """Which errors to list."""

    kind: ErrorKind | None = None


class ErrorAnswer(AnswerModel):
    """What went wrong. `id` is that of the rejected record, the failure of a closing, or the delivery."""

    occurred_at: InstantText
    kind: ErrorKind
    id: int
    account: str | None
    reason: str


@operations.get("/v1/audit-log", scope=Scope.AUDIT_READ)
async def get_audit_log(request: web.Request, query: AuditQuery) -> Page[AuditEntryAnswer]:
    """List who changed what from what to what, newest first."""
    after = query.after(int)
    wanted = AuditFilter(
        actor=query.actor,
        action=query.action,
        subject_kind=query.subject_kind,
        subject=query.subject,
        recorded_from=query.recorded_from,
        recorded_to=query.recorded_to,
    )
    found = await services(request).database.run(
        lambda session: list_audit_log(
            session, wanted, before_id=after[0] if after else None, limit=query.limit + 1
        )
    )
    return page(
        query,
        found,
        key=lambda entry: (entry.id,),
        show=lambda entry: AuditEntryAnswer(
            id=entry.id,
            recorded_at=format_instant(entry.recorded_at),
            actor=entry.actor,
            action=entry.action,
            subject_kind=entry.subject_kind,
            subject=entry.subject,
            previous=entry.previous,
            changes=entry.changes,
        ),
    )


@operations.get("/v1/errors", scope=Scope.AUDIT_READ)
async def get_errors(request: web.Request, query: ErrorQuery) -> Page[ErrorAnswer]:
    """List what went wrong, newest first: rejected records, periods not closed, events not delivered."""
    after: tuple[datetime, str, int] | None = query.after(parse_instant, str, int)
    found = await services(request).database.run(
        lambda session: list_errors(session, kind=query.kind, before=after, limit=query.limit + 1)
    )
    return page(
        query,
        found,
        key=lambda error: (format_instant(error.occurred_at), error.kind, error.id),
        show=lambda error: ErrorAnswer.model_validate(
            {
                "occurred_at": format_instant(error.occurred_at),
                "kind": error.kind,
                "id": error.id,
                "account": error.account,
                "reason": error.reason,
            }
        ),
    )

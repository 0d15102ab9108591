"""Call records and events that were rejected: listed, released with corrections, or dismissed."""

from datetime import tzinfo
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from billing_service.domain.call_event import CallEvent
from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText, JsonObject
from billing_service.http_api.bodies import RequestModel, describe
from billing_service.http_api.call_records import CallRecordModel
from billing_service.http_api.fields import OptionalLine, format_instant, format_optional_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.problems import invalid
from billing_service.http_api.services import actor, services
from billing_service.storage.call_queries import list_rejected
from billing_service.storage.storable_text import make_document_storable
from billing_service.storage.tables import RejectedCallRecord
from billing_service.use_cases.release_record import (
    CALL_EVENT,
    Resolution,
    dismiss_record,
    read_rejected,
    release_call,
    release_event,
)

operations = Operations("calls")

_REJECTED = "/v1/rejected-call-records"
_ONE = _REJECTED + "/{id:[0-9]{1,18}}"


class RejectedQuery(PageQuery):
    """What the list takes."""

    state: Literal["pending", "released", "dismissed"] | None = None


class RejectedRecordAnswer(AnswerModel):
    """A call record or event that was rejected, and what became of it.

    `released_as` is the call record, or the call_id of the event, that came of it. In `record`, U+FFFD stands
    for what no text can hold.
    """

    id: int
    received_at: InstantText
    kind: Literal["call_record", "call_event"]
    reason: str
    record: JsonObject
    state: Literal["pending", "released", "dismissed"]
    resolved_at: InstantText | None
    resolved_by: str | None
    note: str
    released_as: str | None


class ReleaseBody(RequestModel):
    """Fields of the record that are to be other than they came, and a note for the audit log."""

    corrections: Annotated[dict[str, Any], Field(default_factory=dict, max_length=50)]
    note: OptionalLine = ""


class DismissBody(RequestModel):
    """A note for the audit log."""

    note: OptionalLine = ""


class ReleasedRecordModel(CallRecordModel):
    """A record that may also come from events or a file, which don't tell who hung up."""

    ended_by: Literal["caller", "callee", "exchange", "unknown"]  # type: ignore[assignment]


@operations.get(_REJECTED, scope=Scope.CALLS_READ)
async def get_rejected(request: web.Request, query: RejectedQuery) -> Page[RejectedRecordAnswer]:
    """List rejected call records and events, newest first."""
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_rejected(
            session, state=query.state, before_id=after[0] if after else None, limit=query.limit + 1
        )
    )
    return page(query, found, key=lambda row: (row.id,), show=_show)


@operations.post(_ONE + "/release", scope=Scope.CALLS_WRITE)
async def post_release(request: web.Request, body: ReleaseBody) -> RejectedRecordAnswer:
    """Take in a rejected record after all, with corrections to its facts.

    It is answered 409 when it can't be right like this either, and 422 when a corrected fact is none.
    """
    parts = services(request)
    resolution = Resolution(actor(request), parts.now(), body.note)
    record_id = int(request.match_info["id"])

    def work(session: Session) -> RejectedRecordAnswer:
        row = read_rejected(session, record_id)
        facts = {**row.record, **body.corrections}
        settings = parts.settings
        if row.kind == CALL_EVENT:
            release_event(
                session,
                row,
                _read_event(facts, settings.timezone),
                body.corrections,
                resolution,
                plans=parts.plans,
                currency=settings.currency,
                zone=settings.timezone,
            )
        else:
            release_call(
                session,
                row,
                _read_record(facts).to_call(),
                body.corrections,
                resolution,
                plans=parts.plans,
                currency=settings.currency,
                zone=settings.timezone,
            )
        return _show(row)

    return await parts.database.run(work)


@operations.post(_ONE + "/dismiss", scope=Scope.CALLS_WRITE)
async def post_dismiss(request: web.Request, body: DismissBody) -> RejectedRecordAnswer:
    """Decide that nothing is to come of a rejected record."""
    parts = services(request)
    resolution = Resolution(actor(request), parts.now(), body.note)
    record_id = int(request.match_info["id"])
    return await parts.database.run(lambda session: _show(dismiss_record(session, record_id, resolution)))


def _read_event(facts: dict[str, Any], zone: tzinfo) -> CallEvent:
    try:
        return CallEvent.from_document(facts, zone=zone)
    except InvalidFields as error:
        raise invalid(problem.under("corrections") for problem in error.problems) from error


def _read_record(facts: dict[str, Any]) -> ReleasedRecordModel:
    try:
        return ReleasedRecordModel.model_validate(facts)
    except ValidationError as error:
        raise invalid(problem.under("corrections") for problem in describe(error)) from error


def _show(row: RejectedCallRecord) -> RejectedRecordAnswer:
    return RejectedRecordAnswer.model_validate(
        {
            "id": row.id,
            "received_at": format_instant(row.received_at),
            "kind": row.kind,
            "reason": row.reason,
            # Also here: rows of earlier versions have what was sent, and one must not spoil the page.
            "record": make_document_storable(row.record),
            "state": row.state,
            "resolved_at": format_optional_instant(row.resolved_at),
            "resolved_by": row.resolved_by or None,
            "note": row.resolution,
            "released_as": row.released_as,
        }
    )

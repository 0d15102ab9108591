"""`POST /v1/call`: call events, and the calls of which an event is missing."""

import re
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from billing_service.domain.call_event import CallEvent, read_timestamp
from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import format_instant, format_optional_instant, parse_instant
from billing_service.http_api.intake import INTAKE
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.services import services
from billing_service.storage.tables import CallEventPair
from billing_service.use_cases.take_call_event import list_unpaired

operations = Operations("call-events")

_NUMBER = re.compile(r"[0-9]{2,15}", re.ASCII)


def _identifier(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable():
        return value
    raise ValueError("a whole number, or 1 to 128 printable characters")


def _timestamp(text: str) -> str:
    read_timestamp(text, UTC)
    return text


EventIdentifier = Annotated[
    str,
    BeforeValidator(_identifier),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -(2**63) + 1, "maximum": 2**63 - 1},
                {"type": "string", "minLength": 1, "maxLength": 128},
            ]
        }
    ),
]
Party = Annotated[
    str | None,
    Field(validate_default=True),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{2,15}$"}, {"type": "null"}]}),
]


class CallEventBody(RequestModel):
    """That a call started or ended. A timestamp without offset is in the billing time zone.

    `source` and `destination` are numbers of 2 to 15 digits; a start has both, an end may have the source.
    """

    id: EventIdentifier
    type: Literal["start", "end"]
    timestamp: Annotated[
        str, AfterValidator(_timestamp), Field(examples=["2026-11-21T20:00:00Z", "2026-11-21T20:00:00"])
    ]
    call_id: EventIdentifier
    source: Party = None
    destination: Party = None

    @field_validator("source", "destination")
    @classmethod
    def _check_party(cls, value: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("type")
        if value is None:
            if kind == "start":
                raise ValueError("it is missing; a start has a number of 2 to 15 digits here")
        elif not _NUMBER.fullmatch(value):
            raise ValueError("a number is 2 to 15 digits")
        elif kind == "end" and info.field_name == "destination":
            raise ValueError("the destination is given on the start only")
        return value

    def to_event(self, zone: tzinfo) -> CallEvent:
        """Return the event as the domain knows it; raise InvalidFields for an instant that is none there."""
        return CallEvent.from_document(self.model_dump(), zone=zone)


class TransactionAnswer(AnswerModel):
    """That a wish was accepted; the same wish has the same identifier."""

    transaction_id: str


class UnpairedCallAnswer(AnswerModel):
    """A call of which the start or the end has not come; it is not billed."""

    call_id: str
    received_at: InstantText
    started_at: InstantText | None
    source: str | None
    destination: str | None
    ended_at: InstantText | None


@operations.post("/v1/call", scope=Scope.CALLS_WRITE, status=202)
async def post_call(request: web.Request, body: CallEventBody) -> TransactionAnswer:
    """Take in a call event.

    Start and end come in either order; with both the call is rated. Posting an event again is harmless. One
    that contradicts what is known is kept among the rejected records.
    """
    event = body.to_event(services(request).settings.timezone)
    await request.app[INTAKE].accept_call_event(event)
    return TransactionAnswer(transaction_id=event.transaction_id)


@operations.get("/v1/unpaired-calls", scope=Scope.CALLS_READ)
async def get_unpaired_calls(request: web.Request, query: PageQuery) -> Page[UnpairedCallAnswer]:
    """List the calls of which one event has not come, the latest first."""
    after: tuple[Any, ...] | None = query.after(parse_instant, str)
    found = await services(request).database.run(
        lambda session: list_unpaired(
            session, before=(after[0], after[1]) if after else None, limit=query.limit + 1
        )
    )
    return page(query, found, key=lambda row: (format_instant(row.received_at), row.call_id), show=_show)


def _show(row: CallEventPair) -> UnpairedCallAnswer:
    return UnpairedCallAnswer(
        call_id=row.call_id,
        received_at=format_instant(row.received_at),
        started_at=format_optional_instant(row.started_at),
        source=row.source or row.end_source,
        destination=row.destination,
        ended_at=format_optional_instant(row.ended_at),
    )

"""The bill of a number for a month: close it, read it."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from billing_service.domain.call_event import CloseRequest
from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.domain.phone_number import check_number
from billing_service.http_api.answers import AnswerModel, DateText, MoneyText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.call_events import TransactionAnswer
from billing_service.http_api.fields import QueryInteger
from billing_service.http_api.intake import INTAKE
from billing_service.http_api.operations import Operations
from billing_service.http_api.services import services
from billing_service.use_cases.bill_document import BillDocument
from billing_service.use_cases.close_bill_request import find_bill_of_month

operations = Operations("phone-bills")

SUBSCRIBER = "/v1/bill/{subscriber:[^/]{1,40}}"
MonthNumber = Annotated[int, Field(ge=1, le=12)]
YearNumber = Annotated[int, Field(ge=2000, le=2199)]


class ReferencePeriodBody(RequestModel):
    """The month in which the period begins."""

    month: MonthNumber
    year: YearNumber


class ReferencePeriodQuery(RequestModel):
    """The month in which the period begins; without one, the last that was closed."""

    month: Annotated[QueryInteger, Field(ge=1, le=12)] | None = None
    year: Annotated[QueryInteger, Field(ge=2000, le=2199)] | None = None


class BilledCallAnswer(AnswerModel):
    """A call on a bill. Date and time are when it was answered, in the billing time zone."""

    destination: str
    start_date: DateText
    start_time: Annotated[str, Field(json_schema_extra={"pattern": "^[0-9]{2}:[0-9]{2}:[0-9]{2}$"})]
    duration: Annotated[
        str, Field(json_schema_extra={"pattern": "^[0-9]+h[0-9]{2}m[0-9]{2}s$"}, examples=["0h35m42s"])
    ]
    price: MoneyText


class PhoneBillAnswer(AnswerModel):
    """The closed bill of a number for a period. `total` is what it comes to, with fees and taxes."""

    subscriber: str
    period: Annotated[str, Field(json_schema_extra={"pattern": "^[0-9]{2}/[0-9]{4}$"}, examples=["02/2026"])]
    calls: list[BilledCallAnswer]
    call_total: MoneyText
    total: MoneyText
    currency: str
    bill: str


@operations.post(SUBSCRIBER + "/close", scope=Scope.BILLS_WRITE, status=202)
async def post_bill_close(request: web.Request, body: ReferencePeriodBody) -> TransactionAnswer:
    """Close the bill of a number for a month that is over.

    Asking again is harmless. A period that is not over is answered 409.
    """
    wish = CloseRequest.from_document(
        {"subscriber": request.match_info["subscriber"], "month": body.month, "year": body.year}
    )
    await request.app[INTAKE].accept_close(wish)
    return TransactionAnswer(transaction_id=wish.transaction_id)


@operations.get(SUBSCRIBER, scope=Scope.BILLS_READ)
async def get_phone_bill(request: web.Request, query: ReferencePeriodQuery) -> PhoneBillAnswer:
    """Read the closed bill of a number for a month, or without one that of its last closed period."""
    parts = services(request)
    subscriber = check_number(request.match_info["subscriber"], field="subscriber")
    if len(subscriber) < 2:
        raise InvalidFields.one("subscriber", "a number is 2 to 15 digits")
    document = await parts.database.run(
        lambda session: find_bill_of_month(
            session, subscriber, month=query.month, year=query.year, zone=parts.settings.timezone
        )
    )
    return _show(subscriber, document)


def _show(subscriber: str, document: BillDocument) -> PhoneBillAnswer:
    zone = ZoneInfo(document["timezone"])
    # Bills of earlier versions don't tell the whole period; theirs were whole.
    whole = document.get("whole_period") or document["period"]
    begins = datetime.fromisoformat(whole["start"]).astimezone(zone)
    return PhoneBillAnswer(
        subscriber=subscriber,
        period=f"{begins:%m/%Y}",
        calls=[_show_call(call, zone) for call in document["calls"]],
        call_total=document["call_total"],
        total=document["total"],
        currency=document["currency"],
        bill=document["number"],
    )


def _show_call(call: dict[str, Any], zone: ZoneInfo) -> BilledCallAnswer:
    answered_at = datetime.fromisoformat(call["answered_at"]).astimezone(zone)
    minutes, seconds = divmod(call["duration_us"] // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return BilledCallAnswer(
        destination=call["callee"],
        start_date=f"{answered_at:%Y-%m-%d}",
        start_time=f"{answered_at:%H:%M:%S}",
        duration=f"{hours}h{minutes:02}m{seconds:02}s",
        price=call["price"],
    )

"""Calls with their prices."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText, PreciseText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import (
    BillNumber,
    Instant,
    Number,
    format_instant,
    format_money,
    format_optional_instant,
    format_precise,
    parse_instant,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.price_explanations import RatingAnswer, show_rating
from billing_service.http_api.services import services
from billing_service.settings import Settings
from billing_service.storage.call_queries import (
    CallFilter,
    CallView,
    find_call,
    list_calls,
    to_domain,
)
from billing_service.storage.plan_queries import load_terms
from billing_service.use_cases.explain_price import explain_call

operations = Operations("calls")

Party = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class CallFilterQuery(RequestModel):
    """Which calls are wanted: those that fit everything that is given."""

    number: Party | None = None
    caller: Party | None = None
    callee: Party | None = None
    outcome: Literal["answered", "cancelled", "busy", "no_answer", "rejected", "failed"] | None = None
    kind: Literal["charged", "free", "unrated", "emergency", "unanswered"] | None = None
    account: Number | None = None
    bill: BillNumber | None = None
    invited_from: Annotated[Instant | None, Field(alias="from")] = None
    invited_to: Annotated[Instant | None, Field(alias="to")] = None

    def to_filter(self) -> CallFilter:
        """Return the wish as the storage knows it."""
        return CallFilter(
            number=self.number,
            caller=self.caller,
            callee=self.callee,
            outcome=self.outcome,
            kind=self.kind,
            account=self.account,
            bill=self.bill,
            invited_from=self.invited_from,
            invited_to=self.invited_to,
        )


class CallQuery(PageQuery, CallFilterQuery):
    """What the list takes."""


class CallAnswer(AnswerModel):
    """A call attempt. The prices are null when it was not answered or could not be rated."""

    record_id: str
    call_id: str
    caller: str
    callee: str
    emergency: bool
    invited_at: InstantText
    ringing_at: InstantText | None
    answered_at: InstantText | None
    acknowledged_at: InstantText | None
    ended_at: InstantText
    duration_us: int
    outcome: str
    status: int
    reason: str
    ended_by: str
    account: str | None
    plan_name: str | None
    price_precise: PreciseText | None
    price: MoneyText | None
    bill: str | None
    late: bool


class ExplainedCallAnswer(CallAnswer):
    """A call attempt with its rating explained: line by line, and part by part where it has one."""

    rating: RatingAnswer | None
    explanation: list[str]


@operations.get("/v1/calls", scope=Scope.CALLS_READ)
async def get_calls(request: web.Request, query: CallQuery) -> Page[CallAnswer]:
    """List calls, newest first."""
    after = query.after(parse_instant, str)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_calls(session, query.to_filter(), before=after, limit=query.limit + 1)
    )
    return page(
        query,
        found,
        key=lambda view: (format_instant(view.call.invited_at), view.call.record_id),
        show=lambda view: show_call(view, parts.settings),
    )


@operations.get(r"/v1/calls/{record_id:[0-9A-Za-z._-]{1,64}}", scope=Scope.CALLS_READ)
async def get_call(request: web.Request) -> ExplainedCallAnswer:
    """Read one call, with its rating explained."""
    parts, record_id = services(request), request.match_info["record_id"]

    def work(session: Session) -> ExplainedCallAnswer:
        view = find_call(session, record_id)
        if view is None:
            raise NotFound(f"There is no call {record_id}.")
        version_id = view.call.plan_version_id
        plan = (
            None
            if version_id is None
            else parts.plans.get(version_id, lambda wanted: load_terms(session, wanted))
        )
        currency = parts.settings.currency
        explanation, text = explain_call(
            to_domain(view.call), plan, currency=currency, zone=parts.settings.timezone
        )
        rating = None if explanation is None else show_rating(explanation, currency)
        return ExplainedCallAnswer(**dict(show_call(view, parts.settings)), rating=rating, explanation=text)

    return await parts.database.run(work)


def show_call(view: CallView, settings: Settings) -> CallAnswer:
    """Return a call as it is shown."""
    call = view.call
    return CallAnswer(
        record_id=call.record_id,
        call_id=call.call_id,
        caller=call.caller,
        callee=call.callee,
        emergency=call.emergency,
        invited_at=format_instant(call.invited_at),
        ringing_at=format_optional_instant(call.ringing_at),
        answered_at=format_optional_instant(call.answered_at),
        acknowledged_at=format_optional_instant(call.acknowledged_at),
        ended_at=format_instant(call.ended_at),
        duration_us=call.duration_us,
        outcome=call.outcome,
        status=call.status,
        reason=call.reason,
        ended_by=call.ended_by,
        account=view.account,
        plan_name=view.plan_name,
        price_precise=None if call.price_precise is None else format_precise(call.price_precise),
        price=None if call.price is None else format_money(call.price, settings.currency),
        bill=view.bill,
        late=view.late,
    )

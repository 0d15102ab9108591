"""Bills: the open bill of an account, closed bills, and closing what is due."""

from typing import Literal

from aiohttp import web

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.bill_answers import (
    BILL,
    BillAnswer,
    BillSummaryAnswer,
    ClosedAnswer,
    RevisionQuery,
)
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import (
    Instant,
    Number,
    QueryBoolean,
    QueryIdentifier,
    format_instant,
    parse_instant,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.phone_accounts import ACCOUNT
from billing_service.http_api.services import services
from billing_service.use_cases.close_bills import UnableToCloseBills, close_due
from billing_service.use_cases.find_bills import BillQuery, find_bill, list_bills
from billing_service.use_cases.open_bill import open_bill

operations = Operations("bills")


class BillListQuery(PageQuery):
    """What the list takes."""

    account: Number | None = None
    customer_id: QueryIdentifier | None = None
    state: Literal["closed", "paid", "void"] | None = None
    unpaid: QueryBoolean | None = None
    overdue: QueryBoolean | None = None
    """Whether it was due before today and is not paid."""


class CloseDueRequest(RequestModel):
    """Up to when to close; now, unless told otherwise."""

    as_of: Instant | None = None


@operations.get(ACCOUNT + "/open-bill", scope=Scope.BILLS_READ, answer=BillAnswer)
async def get_open_bill(request: web.Request) -> web.Response:
    """Read the bill of an account's open period as it would be closed now."""
    parts, number = services(request), request.match_info["number"]
    settings = parts.settings
    document = await parts.database.run(
        lambda session: open_bill(
            session,
            number,
            as_of=parts.now(),
            currency=settings.currency,
            zone=settings.timezone,
            compiled_plans=parts.plans,
        ),
        one_snapshot=True,
    )
    return web.json_response(document)


@operations.get("/v1/bills", scope=Scope.BILLS_READ)
async def get_bills(request: web.Request, query: BillListQuery) -> Page[BillSummaryAnswer]:
    """List closed bills, newest first."""
    key = query.after(parse_instant, int)
    parts = services(request)
    today = parts.now().astimezone(parts.settings.timezone).date()
    wanted = BillQuery(
        query.account,
        query.customer_id,
        query.state,
        query.unpaid,
        overdue_on=today if query.overdue is True else None,
        not_overdue_on=today if query.overdue is False else None,
    )
    found = await parts.database.run(
        lambda session: list_bills(
            session, wanted, before=(key[0], key[1]) if key else None, limit=query.limit + 1
        )
    )
    return page(
        query,
        found,
        key=lambda bill: (format_instant(bill.closed_at), bill.bill_id),
        show=lambda bill: BillSummaryAnswer.model_validate(bill.document),
    )


@operations.get(BILL, scope=Scope.BILLS_READ, answer=BillAnswer)
async def get_bill(request: web.Request, query: RevisionQuery) -> web.Response:
    """Read one closed bill in full, at its latest revision or another one."""
    number, revision = request.match_info["number"], query.revision
    document = await services(request).database.run(
        lambda session: find_bill(session, number, revision=revision)
    )
    if document is None:
        which = "" if revision is None else f" with a revision {revision}"
        raise NotFound(f"There is no bill {number}{which}.")
    return web.json_response(document)


@operations.post("/v1/bills/close-due", scope=Scope.BILLS_WRITE)
async def post_close_due(request: web.Request, body: CloseDueRequest) -> ClosedAnswer:
    """Close every period that is over and not closed, or that was over `as_of` an instant that has been."""
    parts = services(request)
    now = parts.now()
    as_of = body.as_of or now
    if as_of > now:
        raise InvalidFields.one("as_of", "a period that is not over can't be closed; this is in the future")
    settings = parts.settings
    failed: list[str] = []
    try:
        closing = await parts.database.in_thread(
            lambda: close_due(parts.database, as_of=as_of, currency=settings.currency, zone=settings.timezone)
        )
    except UnableToCloseBills as error:
        closing, failed = error.closing, error.accounts
    return ClosedAnswer(
        closed=len(closing.bills),
        bills=list(closing.bills),
        suspended=list(closing.suspended),
        failed=failed,
    )

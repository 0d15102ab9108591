"""Phone accounts: list, open, read, edit."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, StringConstraints

from billing_service.errors import NotFound
from billing_service.http_api.bodies import RequestModel, read_body, read_query
from billing_service.http_api.fields import (
    FilterPattern,
    Identifier,
    Line,
    Number,
    NumberPattern,
    QueryIdentifier,
    SearchText,
    format_instant,
    format_money,
    format_optional_instant,
)
from billing_service.http_api.pages import PageQuery, page
from billing_service.http_api.services import actor, services
from billing_service.settings import Settings
from billing_service.storage.account_queries import AccountView, find_account, list_accounts
from billing_service.use_cases.edit_account import edit_account
from billing_service.use_cases.open_account import AccountRequest, FilterRule, filter_to_rows, open_account

routes = web.RouteTableDef()

ACCOUNT = r"/v1/phone-accounts/{number:[0-9]{1,15}}"
LONGEST_LIST = 1000


def _printable_ascii(text: str) -> str:
    # Phones disagree about how other characters are hashed.
    if not text.isascii() or not text.isprintable():
        raise ValueError("a SIP password is made of printable ASCII characters")
    return text


SipPassword = Annotated[str, StringConstraints(min_length=8, max_length=64), AfterValidator(_printable_ascii)]


class FilterRuleModel(RequestModel):
    """One rule of a calling filter."""

    pattern: FilterPattern
    action: Literal["allow", "deny"]

    def to_rule(self) -> FilterRule:
        """Return the rule as the use cases know it."""
        return FilterRule(self.pattern, self.action)


Filter = Annotated[list[FilterRuleModel], Field(default_factory=list, max_length=LONGEST_LIST)]
BlockList = Annotated[list[Number], Field(default_factory=list, max_length=LONGEST_LIST)]
BillingDay = Annotated[int, Field(ge=1, le=31)]
CallLimit = Annotated[int, Field(ge=0, le=100_000)]


class AccountQuery(PageQuery):
    """What the list takes."""

    customer_id: QueryIdentifier | None = None
    state: Literal["active", "suspended", "closed", "out_of_service"] | None = None
    q: SearchText | None = None


class NewAccount(RequestModel):
    """An account to be opened."""

    customer_id: Identifier
    number: NumberPattern
    plan_id: Identifier
    display_name: Line | None = None
    billing_day: BillingDay | None = None
    call_limit: CallLimit | None = None
    outgoing_filter: Filter
    incoming_filter: Filter
    block_list: BlockList
    sip_password: SipPassword | None = None

    def to_request(self) -> AccountRequest:
        """Return the wish as the use case knows it."""
        return AccountRequest(
            customer_id=self.customer_id,
            number=self.number,
            plan_id=self.plan_id,
            display_name=self.display_name,
            billing_day=self.billing_day,
            call_limit=self.call_limit,
            outgoing_filter=tuple(rule.to_rule() for rule in self.outgoing_filter),
            incoming_filter=tuple(rule.to_rule() for rule in self.incoming_filter),
            block_list=tuple(self.block_list),
            sip_password=self.sip_password,
        )


class AccountChanges(RequestModel):
    """What is to change; fields that are left out stay as they are."""

    display_name: Line = ""
    billing_day: BillingDay = 1
    call_limit: CallLimit | None = None
    outgoing_filter: Filter
    incoming_filter: Filter
    block_list: BlockList

    def to_changes(self) -> dict[str, Any]:
        """Return the fields given, as they are stored."""
        changes = self.model_dump(exclude_unset=True)
        for field in ("outgoing_filter", "incoming_filter"):
            if field in changes:
                changes[field] = filter_to_rows(tuple(rule.to_rule() for rule in getattr(self, field)))
        return changes


@routes.get("/v1/phone-accounts")
async def get_accounts(request: web.Request) -> web.Response:
    """List accounts by number."""
    query = read_query(request, AccountQuery)
    after = query.after(str)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_accounts(
            session,
            customer_id=query.customer_id,
            state=query.state,
            text=query.q,
            after_number=after[0] if after else None,
            limit=query.limit + 1,
            at=parts.now(),
        )
    )
    return page(
        query, found, key=lambda view: (view.account.number,), show=lambda view: _show(view, parts.settings)
    )


@routes.post("/v1/phone-accounts")
async def post_account(request: web.Request) -> web.Response:
    """Open an account; the answer holds its SIP password, this once."""
    wish = (await read_body(request, NewAccount)).to_request()
    parts, who = services(request), actor(request)
    opened = await parts.database.run(
        lambda session: open_account(
            session,
            wish,
            realm=parts.settings.sip_domain,
            zone=parts.settings.timezone,
            actor=who,
            at=parts.now(),
        )
    )
    shown = await read_account(request, opened.account.number)
    return web.json_response({**shown, "sip_password": opened.sip_password}, status=201)


@routes.get(ACCOUNT)
async def get_account(request: web.Request) -> web.Response:
    """Read one account."""
    return web.json_response(await read_account(request, request.match_info["number"]))


@routes.patch(ACCOUNT)
async def patch_account(request: web.Request) -> web.Response:
    """Change some fields of an account."""
    changes = (await read_body(request, AccountChanges)).to_changes()
    number, who = request.match_info["number"], actor(request)
    await services(request).database.run(lambda session: edit_account(session, number, changes, actor=who))
    return web.json_response(await read_account(request, number))


async def read_account(request: web.Request, number: str) -> dict[str, Any]:
    """Return an account as it is shown; raise NotFound when there is none with this number."""
    parts = services(request)
    view = await parts.database.run(lambda session: find_account(session, number, at=parts.now()))
    if view is None:
        raise NotFound(f"There is no phone account {number}.")
    return _show(view, parts.settings)


def _show(view: AccountView, settings: Settings) -> dict[str, Any]:
    account = view.account
    return {
        "number": account.number,
        "customer_id": account.customer_id,
        "customer_name": view.customer_name,
        "display_name": account.display_name,
        "state": account.state,
        "plan_id": view.plan_id,
        "plan_name": view.plan_name,
        "billing_day": account.billing_day,
        "opened_at": format_instant(account.opened_at),
        "closed_at": format_optional_instant(account.closed_at),
        "call_limit": account.call_limit,
        "outgoing_filter": account.outgoing_filter,
        "incoming_filter": account.incoming_filter,
        "block_list": account.block_list,
        "balance": format_money(view.balance, settings.currency),
        "unpaid_bills": view.unpaid_bills,
    }

"""Phone accounts: list, open, read, edit."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, StringConstraints

from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.fields import (
    FilterPattern,
    Identifier,
    Line,
    Number,
    NumberPattern,
    QueryBoolean,
    QueryIdentifier,
    SearchText,
    format_instant,
    format_money,
    format_optional_instant,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.settings import Settings
from billing_service.storage.account_queries import AccountView, find_account, list_accounts
from billing_service.use_cases.edit_account import edit_account
from billing_service.use_cases.open_account import AccountRequest, FilterRule, filter_to_rows, open_account

operations = Operations("phone-accounts")

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


AccountState = Literal["active", "suspended", "closed", "out_of_service"]


class AccountQuery(PageQuery):
    """What the list takes."""

    customer_id: QueryIdentifier | None = None
    state: AccountState | None = None
    plan_id: QueryIdentifier | None = None
    unpaid: QueryBoolean | None = None
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


class AccountChanges(ChangesModel):
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


class FilterRuleAnswer(AnswerModel):
    """One rule of a calling filter: the first that matches a number decides."""

    pattern: str
    action: Literal["allow", "deny"]


class AccountAnswer(AnswerModel):
    """A phone account. `balance` is what it has paid beyond what it was billed: negative when it owes."""

    number: str
    customer_id: int
    customer_name: str
    display_name: str | None
    state: AccountState
    plan_id: int
    plan_name: str
    billing_day: int
    opened_at: InstantText
    closed_at: InstantText | None
    call_limit: int | None
    outgoing_filter: list[FilterRuleAnswer]
    incoming_filter: list[FilterRuleAnswer]
    block_list: list[str]
    balance: MoneyText
    unpaid_bills: int


class OpenedAccountAnswer(AccountAnswer):
    """A phone account just opened, with its SIP password, which nobody can learn later."""

    sip_password: str


@operations.get("/v1/phone-accounts", scope=Scope.CUSTOMERS_READ)
async def get_accounts(request: web.Request, query: AccountQuery) -> Page[AccountAnswer]:
    """List accounts by number."""
    after = query.after(str)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_accounts(
            session,
            customer_id=query.customer_id,
            state=query.state,
            plan_id=query.plan_id,
            unpaid=query.unpaid,
            text=query.q,
            after_number=after[0] if after else None,
            limit=query.limit + 1,
            at=parts.now(),
        )
    )
    return page(
        query, found, key=lambda view: (view.account.number,), show=lambda view: _show(view, parts.settings)
    )


@operations.post("/v1/phone-accounts", scope=Scope.CUSTOMERS_WRITE, status=201, etag=True)
async def post_account(request: web.Request, body: NewAccount) -> OpenedAccountAnswer:
    """Open an account; the answer holds its SIP password, this once."""
    wish = body.to_request()
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
    return OpenedAccountAnswer(**dict(shown), sip_password=opened.sip_password)


@operations.get(ACCOUNT, scope=Scope.CUSTOMERS_READ, etag=True)
async def get_account(request: web.Request) -> AccountAnswer:
    """Read one account."""
    return await read_account(request, request.match_info["number"])


@operations.patch(ACCOUNT, scope=Scope.CUSTOMERS_WRITE, if_match=True)
async def patch_account(request: web.Request, body: AccountChanges) -> AccountAnswer:
    """Change some fields of an account."""
    changes = body.to_changes()
    number, who, expected = request.match_info["number"], actor(request), expected_versions(request)
    await services(request).database.run(
        lambda session: edit_account(session, number, changes, actor=who, expected=expected)
    )
    return await read_account(request, number)


async def read_account(request: web.Request, number: str) -> AccountAnswer:
    """Return an account as it is shown, and tag the answer; raise NotFound when none has this number."""
    parts = services(request)
    view = await parts.database.run(lambda session: find_account(session, number, at=parts.now()))
    if view is None:
        raise NotFound(f"There is no phone account {number}.")
    tag_answer(request, view.account.row_version)
    return _show(view, parts.settings)


def _show(view: AccountView, settings: Settings) -> AccountAnswer:
    account = view.account
    return AccountAnswer.model_validate(
        {
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
    )

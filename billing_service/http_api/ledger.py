"""The ledger to be read: its entries, and statements that carry the balance along."""

from datetime import date
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from billing_service.domain.money import Currency
from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, DateText, InstantText, MoneyText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import (
    Day,
    Instant,
    Number,
    QueryIdentifier,
    format_instant,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.payments import BillNumber
from billing_service.http_api.phone_accounts import ACCOUNT
from billing_service.http_api.services import services
from billing_service.use_cases.statement import (
    Entry,
    EntryQuery,
    Statement,
    account_statement,
    customer_statement,
    list_entries,
)

operations = Operations("payments")

EntryKindName = Literal["charge", "reversal", "payment", "credit", "refund"]


class EntryListQuery(PageQuery):
    """What the list takes; `from` and `to` are instants on `occurred_at`, half-open."""

    account: Number | None = None
    customer_id: QueryIdentifier | None = None
    kind: EntryKindName | None = None
    bill: BillNumber | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None


class StatementQuery(RequestModel):
    """The first and the last day, both included: from the opening and up to today, unless told."""

    since: Annotated[Day | None, Field(alias="from")] = None
    until: Annotated[Day | None, Field(alias="to")] = None


class EntryAnswer(AnswerModel):
    """A movement of an account's balance: payments, credits and reversals are positive, the rest negative."""

    id: int
    account: str
    kind: EntryKindName
    amount: MoneyText
    bill: str | None
    reason: str
    actor: str
    occurred_at: InstantText


class StatementEntryAnswer(EntryAnswer):
    """An entry with the balance after it."""

    balance: MoneyText


class StatementAnswer(AnswerModel):
    """The entries from one day to another, both included, between two balances; negative is owed."""

    account: str | None
    customer_id: int | None
    currency: str
    first_day: Annotated[DateText, Field(alias="from")]
    last_day: Annotated[DateText, Field(alias="to")]
    opening_balance: MoneyText
    entries: list[StatementEntryAnswer]
    closing_balance: MoneyText


@operations.get("/v1/ledger-entries", scope=Scope.PAYMENTS_READ)
async def get_ledger_entries(request: web.Request, query: EntryListQuery) -> Page[EntryAnswer]:
    """List ledger entries, the last written first."""
    key = query.after(int)
    wanted = EntryQuery(query.account, query.customer_id, query.kind, query.bill, query.since, query.until)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_entries(
            session, wanted, before_id=key[0] if key else None, limit=query.limit + 1
        )
    )
    currency = parts.settings.currency
    return page(
        query,
        found,
        key=lambda entry: (entry.entry_id,),
        show=lambda entry: EntryAnswer(**_show(entry, currency)),
    )


@operations.get(ACCOUNT + "/statement", scope=Scope.PAYMENTS_READ)
async def get_account_statement(request: web.Request, query: StatementQuery) -> StatementAnswer:
    """Read the statement of a phone account."""
    parts, number = services(request), request.match_info["number"]
    zone = parts.settings.timezone
    statement = await parts.database.run(
        lambda session: account_statement(
            session, number, first_day=query.since, last_day=_last_day(request, query), zone=zone
        ),
        one_snapshot=True,
    )
    return _statement(statement, parts.settings.currency, account=number)


@operations.get(r"/v1/customers/{id:[0-9]{1,18}}/statement", scope=Scope.PAYMENTS_READ)
async def get_customer_statement(request: web.Request, query: StatementQuery) -> StatementAnswer:
    """Read the statement of all phone accounts of a customer together."""
    parts, customer_id = services(request), int(request.match_info["id"])
    zone = parts.settings.timezone
    statement = await parts.database.run(
        lambda session: customer_statement(
            session, customer_id, first_day=query.since, last_day=_last_day(request, query), zone=zone
        ),
        one_snapshot=True,
    )
    return _statement(statement, parts.settings.currency, customer_id=customer_id)


def _last_day(request: web.Request, query: StatementQuery) -> date:
    parts = services(request)
    return query.until or parts.now().astimezone(parts.settings.timezone).date()


def _statement(
    statement: Statement, currency: Currency, *, account: str | None = None, customer_id: int | None = None
) -> StatementAnswer:
    return StatementAnswer(
        account=account,
        customer_id=customer_id,
        currency=currency.code,
        first_day=statement.first_day.isoformat(),
        last_day=statement.last_day.isoformat(),
        opening_balance=statement.opening_balance.format(currency),
        entries=[
            StatementEntryAnswer(**_show(one.entry, currency), balance=one.balance.format(currency))
            for one in statement.entries
        ],
        closing_balance=statement.closing_balance.format(currency),
    )


def _show(entry: Entry, currency: Currency) -> dict[str, Any]:
    return {
        "id": entry.entry_id,
        "account": entry.account,
        "kind": entry.kind,
        "amount": entry.amount.format(currency),
        "bill": entry.bill,
        "reason": entry.reason,
        "actor": entry.actor,
        "occurred_at": format_instant(entry.occurred_at),
    }

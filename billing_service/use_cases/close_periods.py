"""Close the open periods of many accounts in one transaction, by a fixed number of statements.

The caller has locked the accounts, also against calls that arrive. For each one the bill is frozen, the
ledger charged and the account moved to its next period; a crash leaves all of that or nothing. No call is
written to: those of the period are on its bill by their instants (`storage/billed_calls.py`).

Bill numbers are given last: their counter is what all closers of a year wait for, so it is locked only for
the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents
from billing_service.domain.dunning import SUSPENDED_FOR_UNPAID_BILLS, AccountState, must_suspend
from billing_service.domain.events import EventKind
from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import ZERO, Currency
from billing_service.domain.period import BillingCalendar, Period
from billing_service.storage.account_history import change_state
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import (
    Bill,
    BillNumberCounter,
    BillRevision,
    Customer,
    LedgerEntry,
    PhoneAccount,
)
from billing_service.use_cases.account_bill import BillFacts, load_bill_facts
from billing_service.use_cases.bill_document import freeze
from billing_service.use_cases.bill_heading import head_bill, read_letterhead
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.settle_bills import (
    DunningLimits,
    accounts_with_money,
    dunning_limits,
    settle_bills,
)

_CLOSER: Final = "closing"


@dataclass(frozen=True, slots=True)
class ClosedBill:
    """What closing one period of one account did."""

    number: str
    account: str
    suspended: bool


@dataclass(frozen=True, slots=True)
class _Closing:
    """One bill on its way into the database."""

    account: PhoneAccount
    contents: BillContents


def close_periods(
    session: Session,
    accounts: Sequence[PhoneAccount],
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    plans: CompiledPlans | None = None,
) -> list[ClosedBill]:
    """Close the open period of each account, unless it isn't over at `as_of`; lock the accounts first."""
    facts = load_bill_facts(session, accounts, as_of=None, zone=zone, compiled_plans=plans)
    closings = [
        _Closing(account, facts[account.id].build(currency=currency, zone=zone))
        for account in accounts
        if _is_due(account, facts[account.id], as_of)
    ]
    if not closings:
        return []
    limits = dunning_limits(session)
    closed_on = as_of.astimezone(zone).date()
    due_on = closed_on + timedelta(days=limits.payment_term_days)
    bill_ids = _insert_bills(session, closings, closed_at=as_of, due_on=due_on, currency=currency)
    _move_on(session, closings, zone)
    numbers = _give_numbers(session, bill_ids, closed_on)
    _freeze(
        session, closings, bill_ids, numbers, closed_at=as_of, due_on=due_on, currency=currency, zone=zone
    )
    _charge(session, closings, bill_ids, numbers, occurred_at=as_of)
    publish_bills(session, EventKind.BILL_CLOSED, Bill.id.in_(bill_ids))
    for account_id in accounts_with_money(session, [one.account.id for one in closings]):
        settle_bills(session, account_id, at=as_of)
    suspended = _suspend(session, closings, limits, as_of)
    return [
        ClosedBill(number, one.account.number, one.account.id in suspended)
        for number, one in zip(numbers, closings, strict=True)
    ]


def next_bill_number(session: Session, closed_on: date) -> str:
    """The next number of the year. Its counter stays locked until the bill commits: no gap, no double."""
    return _next_bill_numbers(session, closed_on, 1)[0]


def _is_due(account: PhoneAccount, facts: BillFacts, as_of: datetime) -> bool:
    # A closed account with its last bill gets one more only for calls that came after all; another closer
    # may just have billed them.
    is_open = account.period_end is not None
    return facts.period.end <= as_of and (is_open or bool(facts.calls))


def _insert_bills(
    session: Session, closings: Sequence[_Closing], *, closed_at: datetime, due_on: date, currency: Currency
) -> list[int]:
    """Store the bills under numbers for the moment, and return their identifiers in order."""
    return list(
        session.scalars(
            insert(Bill).returning(Bill.id, sort_by_parameter_order=True),
            [
                {
                    "number": f"pending {one.account.id}",
                    "account_id": one.account.id,
                    "customer_id": one.account.customer_id,
                    "period_start": one.contents.period.start,
                    "period_end": one.contents.period.end,
                    # Nothing to pay is paid.
                    "state": "closed" if one.contents.total > ZERO else "paid",
                    "revision": 1,
                    "currency": currency.code,
                    "total": one.contents.total.to_decimal(),
                    "due_on": due_on,
                    "closed_at": closed_at,
                }
                for one in closings
            ],
        )
    )


_MOVE_ON: Final = text(
    "UPDATE phone_accounts SET period_start = next.period_start, period_end = next.period_end,"
    " period_billing_day = NULL"
    " FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))"
    " AS next (account_id, period_start, period_end) WHERE phone_accounts.id = next.account_id"
)


def _move_on(session: Session, closings: Sequence[_Closing], zone: tzinfo) -> None:
    """Open the next periods, but not of accounts that were closed in the one just billed."""
    session.execute(
        _MOVE_ON,
        {
            "accounts": [one.account.id for one in closings],
            "starts": [one.contents.period.end for one in closings],
            "ends": [_next_end(one.account, one.contents.period, zone) for one in closings],
        },
    )
    for one in closings:
        session.expire(one.account, ["period_start", "period_end", "period_billing_day"])


def _next_end(account: PhoneAccount, closed: Period, zone: tzinfo) -> datetime | None:
    if account.closed_at is not None and account.closed_at <= closed.end:
        return None
    return BillingCalendar(zone, account.billing_day).period_containing(closed.end).end


def _next_bill_numbers(session: Session, closed_on: date, count: int) -> list[str]:
    last = session.scalar(
        upsert(BillNumberCounter)
        .values(year=closed_on.year, last_number=count)
        .on_conflict_do_update(
            index_elements=[BillNumberCounter.year],
            set_={"last_number": BillNumberCounter.last_number + count},
        )
        .returning(BillNumberCounter.last_number)
    )
    assert last is not None, "the upsert returns its row"
    return [f"{closed_on.year}-{number:06d}" for number in range(last - count + 1, last + 1)]


_GIVE_NUMBERS: Final = text(
    "UPDATE bills SET number = given.number FROM unnest(CAST(:bills AS bigint[]), CAST(:numbers AS text[]))"
    " AS given (bill_id, number) WHERE bills.id = given.bill_id"
)


def _give_numbers(session: Session, bill_ids: Sequence[int], closed_on: date) -> list[str]:
    numbers = _next_bill_numbers(session, closed_on, len(bill_ids))
    session.execute(_GIVE_NUMBERS, {"bills": list(bill_ids), "numbers": numbers})
    return numbers


def _freeze(
    session: Session,
    closings: Sequence[_Closing],
    bill_ids: Sequence[int],
    numbers: Sequence[str],
    *,
    closed_at: datetime,
    due_on: date,
    currency: Currency,
    zone: tzinfo,
) -> None:
    customers = {
        customer.id: customer
        for customer in session.scalars(
            select(Customer).where(Customer.id.in_({one.account.customer_id for one in closings}))
        )
    }
    letterhead = read_letterhead(session)
    documents = []
    for bill_id, number, one in zip(bill_ids, numbers, closings, strict=True):
        heading = head_bill(
            one.account,
            customers[one.account.customer_id],
            letterhead,
            number=number,
            closed_at=closed_at,
            due_on=due_on,
            zone=zone,
        )
        documents.append(
            {"bill_id": bill_id, "revision": 1, "document": freeze(heading, one.contents, currency)}
        )
    session.execute(insert(BillRevision), documents)


def _charge(
    session: Session,
    closings: Sequence[_Closing],
    bill_ids: Sequence[int],
    numbers: Sequence[str],
    *,
    occurred_at: datetime,
) -> None:
    charges = [
        {
            "account_id": one.account.id,
            "kind": EntryKind.CHARGE.value,
            "amount": (-one.contents.total).to_decimal(),
            "bill_id": bill_id,
            "reason": f"Bill {number}",
            "actor": _CLOSER,
            "occurred_at": occurred_at,
        }
        for bill_id, number, one in zip(bill_ids, numbers, closings, strict=True)
        if one.contents.total > ZERO
    ]
    if charges:
        session.execute(insert(LedgerEntry), charges)


def _suspend(
    session: Session, closings: Sequence[_Closing], limits: DunningLimits, as_of: datetime
) -> set[int]:
    """Suspend the accounts whose unpaid bills have reached the limit; returns their identifiers."""
    active = {
        one.account.id: one.account
        for one in closings
        if one.account.state == AccountState.ACTIVE.value and not one.account.closes_on_request
    }
    counts = session.execute(
        select(Bill.account_id, func.count())
        .where(Bill.account_id.in_(active), Bill.state == "closed")
        .group_by(Bill.account_id)
    ).all()
    suspended = set()
    for account_id, unpaid in counts:
        account = active[account_id]
        if must_suspend(AccountState(account.state), unpaid_bills=unpaid, limit=limits.unpaid_bill_limit):
            change_state(
                session,
                account,
                state=AccountState.SUSPENDED.value,
                at=as_of,
                reason=SUSPENDED_FOR_UNPAID_BILLS,
                actor=_CLOSER,
            )
            suspended.add(account_id)
    return suspended

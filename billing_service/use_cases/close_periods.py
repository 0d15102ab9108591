"""Close the open periods of many accounts in one transaction, by a fixed number of statements.

The caller has locked the accounts, also against calls that arrive. For each one the bill is frozen, the
ledger charged and the account moved to its next period; a crash leaves all of that or nothing. No call is
written to: those of the period are on its bill by their instants (`storage/billed_calls.py`).

Bill numbers are given when all has been worked out: their counter is what all closers of a year wait for, so
it is locked only while the bills are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents
from billing_service.domain.dunning import SUSPENDED_FOR_UNPAID_BILLS, AccountState, must_suspend
from billing_service.domain.events import EventKind
from billing_service.domain.money import ZERO, Currency
from billing_service.domain.period import BillingCalendar
from billing_service.storage.account_history import change_state
from billing_service.storage.closing_rows import (
    DueAccount,
    NewBill,
    any_of,
    count_unpaid_bills,
    open_next_periods,
    plan_by_index,
    read_customers,
    store_bills,
)
from billing_service.storage.outbox import is_wanted
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import Bill, BillNumberCounter, PhoneAccount
from billing_service.use_cases.bill_heading import read_letterhead
from billing_service.use_cases.bill_texts import BillTexts, whole_documents
from billing_service.use_cases.closing_contents import ClosingContents
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


def close_periods(
    session: Session,
    accounts: Sequence[DueAccount],
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    plans: CompiledPlans | None = None,
) -> list[ClosedBill]:
    """Close the open period of each account, unless it isn't over at `as_of`; lock the accounts first."""
    plan_by_index(session)
    contents = ClosingContents(session, currency, zone, plans or CompiledPlans()).of(accounts, as_of)
    if not contents:
        return []
    limits = dunning_limits(session)
    closed_on = as_of.astimezone(zone).date()
    due_on = closed_on + timedelta(days=limits.payment_term_days)
    customers = read_customers(session, (account for account, _ in contents))
    texts = BillTexts(read_letterhead(session), currency, zone, as_of, due_on)
    rests = [
        texts.after_number(account.number, customers[account.customer_id], bill) for account, bill in contents
    ]
    bills = [_new_bill(account, bill) for account, bill in contents]
    open_next_periods(session, _next_periods(contents, zone))
    numbers = _next_bill_numbers(session, closed_on, len(contents))
    bill_ids = store_bills(
        session,
        bills,
        numbers,
        whole_documents(numbers, rests),
        currency=currency.code,
        due_on=due_on,
        closed_at=as_of,
        actor=_CLOSER,
    )
    if is_wanted(session, EventKind.BILL_CLOSED):
        publish_bills(session, EventKind.BILL_CLOSED, Bill.id == any_of(bill_ids))
    for account_id in accounts_with_money(session, [account.id for account, _ in contents]):
        settle_bills(session, account_id, at=as_of)
    suspended = _suspend(session, [account for account, _ in contents], limits, as_of)
    return [
        ClosedBill(number, account.number, account.id in suspended)
        for number, (account, _) in zip(numbers, contents, strict=True)
    ]


def next_bill_number(session: Session, closed_on: date) -> str:
    """The next number of the year. Its counter stays locked until the bill commits: no gap, no double."""
    return _next_bill_numbers(session, closed_on, 1)[0]


def _new_bill(account: DueAccount, contents: BillContents) -> NewBill:
    total = contents.total
    # Nothing to pay is paid.
    return NewBill(account, contents.period, "closed" if total > ZERO else "paid", total)


def _next_periods(
    contents: Iterable[tuple[DueAccount, BillContents]], zone: tzinfo
) -> Iterator[tuple[DueAccount, datetime, datetime | None]]:
    """The start and end of the next periods; no end for accounts that were closed in the one just billed."""
    known: dict[tuple[int, datetime], datetime] = {}
    for account, bill in contents:
        start = bill.period.end
        if account.closed_at is not None and account.closed_at <= start:
            yield account, start, None
            continue
        key = (account.billing_day, start)
        if key not in known:
            known[key] = BillingCalendar(zone, account.billing_day).period_containing(start).end
        yield account, start, known[key]


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


def _suspend(
    session: Session, accounts: Sequence[DueAccount], limits: DunningLimits, as_of: datetime
) -> set[int]:
    """Suspend the accounts whose unpaid bills have reached the limit; returns their identifiers."""
    active = [
        account.id
        for account in accounts
        if account.state == AccountState.ACTIVE.value and not account.closes_on_request
    ]
    suspended = set()
    for account_id, unpaid in count_unpaid_bills(session, active).items():
        if must_suspend(AccountState.ACTIVE, unpaid_bills=unpaid, limit=limits.unpaid_bill_limit):
            change_state(
                session,
                session.get_one(PhoneAccount, account_id, populate_existing=True),
                state=AccountState.SUSPENDED.value,
                at=as_of,
                reason=SUSPENDED_FOR_UNPAID_BILLS,
                actor=_CLOSER,
            )
            suspended.add(account_id)
    return suspended

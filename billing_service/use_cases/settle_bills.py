"""Pay an account's unpaid bills with the money that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.events import EventKind
from billing_service.domain.ledger import AvailableMoney, EntryKind, UnpaidBill, settle
from billing_service.domain.money import ZERO, Money
from billing_service.storage.closing_rows import any_of
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import Bill, BillSettlement, LedgerEntry, SystemSettings

_MONEY_THAT_PAYS = (EntryKind.PAYMENT.value, EntryKind.CREDIT.value)


@dataclass(frozen=True, slots=True)
class DunningLimits:
    """What the administrators have set about unpaid bills."""

    unpaid_bill_limit: int
    payment_term_days: int


def dunning_limits(session: Session) -> DunningLimits:
    """The limits in force now."""
    limit, term = session.execute(
        select(SystemSettings.unpaid_bill_limit, SystemSettings.payment_term_days)
    ).one()
    return DunningLimits(limit, term)


def count_unpaid_bills(session: Session, account_id: int) -> int:
    """How many closed bills of an account are not paid in full."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Bill)
            .where(Bill.account_id == account_id, Bill.state == "closed")
        )
        or 0
    )


def accounts_with_money(session: Session, account_ids: Sequence[int]) -> Sequence[int]:
    """Which of the accounts have money that has not been used up; the others have nothing to settle."""
    used = func.coalesce(func.sum(BillSettlement.amount), 0)
    entries = (
        select(LedgerEntry.account_id)
        .outerjoin(BillSettlement, BillSettlement.ledger_entry_id == LedgerEntry.id)
        .where(LedgerEntry.account_id == any_of(account_ids), LedgerEntry.kind.in_(_MONEY_THAT_PAYS))
        .group_by(LedgerEntry.id)
        .having(LedgerEntry.amount > used)
    )
    return session.scalars(entries.distinct()).all()


def settle_bills(session: Session, account_id: int, *, at: datetime) -> list[Bill]:
    """Use all available money on the unpaid bills, the oldest first; returns the bills now paid in full.

    Lock the account first: two settlements at once would spend the same money twice.
    """
    bills = {bill.id: bill for bill in _closed_bills(session, account_id)}
    unpaid = _what_is_due(session, bills)
    money = available_money(session, account_id)
    due = {bill.bill_id: bill.due for bill in unpaid}
    for settlement in settle(unpaid, money):
        session.add(
            BillSettlement(
                bill_id=settlement.bill_id,
                ledger_entry_id=settlement.entry_id,
                amount=settlement.amount.to_decimal(),
                settled_at=at,
            )
        )
        due[settlement.bill_id] -= settlement.amount
    settled = [bills[bill_id] for bill_id in bills if due.get(bill_id, ZERO) == ZERO]
    for bill in settled:
        bill.state = "paid"
    session.flush()
    if settled:
        publish_bills(session, EventKind.BILL_PAID, Bill.id.in_([bill.id for bill in settled]), at=at)
    return settled


def _closed_bills(session: Session, account_id: int) -> list[Bill]:
    return list(
        session.scalars(
            select(Bill)
            .where(Bill.account_id == account_id, Bill.state == "closed")
            .order_by(Bill.period_start, Bill.id)
            .execution_options(populate_existing=True)
        )
    )


def _what_is_due(session: Session, bills: dict[int, Bill]) -> list[UnpaidBill]:
    """What is left to pay on each bill; bills on which nothing is are left out."""
    paid = {
        bill_id: Money.from_decimal(amount)
        for bill_id, amount in session.execute(
            select(BillSettlement.bill_id, func.sum(BillSettlement.amount))
            .where(BillSettlement.bill_id.in_(bills))
            .group_by(BillSettlement.bill_id)
        )
    }
    due = [
        UnpaidBill(bill.id, Money.from_decimal(bill.total) - paid.get(bill.id, ZERO))
        for bill in bills.values()
    ]
    return [bill for bill in due if bill.due > ZERO]


def available_money(session: Session, account_id: int) -> list[AvailableMoney]:
    """What is left of an account's payments and credits, the oldest first. Lock the account first."""
    used = func.coalesce(func.sum(BillSettlement.amount), 0)
    rows = session.execute(
        select(LedgerEntry.id, LedgerEntry.amount - used, LedgerEntry.bill_id, LedgerEntry.kind)
        .outerjoin(BillSettlement, BillSettlement.ledger_entry_id == LedgerEntry.id)
        .where(LedgerEntry.account_id == account_id, LedgerEntry.kind.in_(_MONEY_THAT_PAYS))
        .group_by(LedgerEntry.id)
        .having(LedgerEntry.amount > used)
        .order_by(LedgerEntry.id)
    )
    return [
        AvailableMoney(entry_id, Money.from_decimal(left), bill_id, paid_in=kind == EntryKind.PAYMENT.value)
        for entry_id, left, bill_id, kind in rows
    ]

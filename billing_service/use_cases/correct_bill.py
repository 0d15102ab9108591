"""What voiding a bill and closing it again have in common: the ledger's side of a bill that changes.

Nothing is changed or removed: a charge is taken back by a reversal, and money that paid too much of a bill is
released by settlements of negative amounts.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.ledger import EntryKind, release
from billing_service.domain.money import ZERO, Money, total
from billing_service.errors import NotFound
from billing_service.storage.account_history import lock_account
from billing_service.storage.tables import Bill, BillSettlement, LedgerEntry, PhoneAccount


def lock_bill(session: Session, number: str) -> tuple[Bill, PhoneAccount]:
    """A bill and its account, locked against all that changes either until the transaction ends.

    Raises:
        NotFound: there is no such bill.
    """
    account_number = session.scalar(
        select(PhoneAccount.number)
        .join(Bill, Bill.account_id == PhoneAccount.id)
        .where(Bill.number == number)
    )
    account = None if account_number is None else lock_account(session, account_number)
    if account is None:
        raise NotFound(f"There is no bill {number}.")
    # The account's lock is every bill writer's; only now is what the bill says what it will stay.
    bill = session.scalars(
        select(Bill).where(Bill.number == number).execution_options(populate_existing=True)
    ).one()
    return bill, account


def charge_difference(
    session: Session, bill: Bill, difference: Money, *, reason: str, at: datetime, actor: str
) -> None:
    """Charge what a bill comes to more than before, or take back what it comes to less."""
    if difference == ZERO:
        return
    kind = EntryKind.CHARGE if difference > ZERO else EntryKind.REVERSAL
    session.add(
        LedgerEntry(
            account_id=bill.account_id,
            kind=kind.value,
            amount=-difference.to_decimal(),
            bill_id=bill.id,
            reason=reason,
            actor=actor,
            occurred_at=at,
        )
    )
    session.flush()


def release_beyond(session: Session, bill: Bill, keep: Money, *, at: datetime) -> Money:
    """Release what was paid on a bill beyond an amount, and return what stays paid on it."""
    paid = paid_by_entry(session, bill.id)
    in_all = total(amount for _, amount in paid)
    excess = max(in_all - keep, ZERO)
    for part in release(bill.id, paid, excess=excess):
        session.add(
            BillSettlement(
                bill_id=bill.id,
                ledger_entry_id=part.entry_id,
                amount=part.amount.to_decimal(),
                settled_at=at,
            )
        )
    session.flush()
    return in_all - excess


def paid_by_entry(session: Session, bill_id: int) -> list[tuple[int, Money]]:
    """What each payment and credit has paid on a bill and not been released from it, in their order."""
    rows = session.execute(
        select(BillSettlement.ledger_entry_id, func.sum(BillSettlement.amount))
        .where(BillSettlement.bill_id == bill_id)
        .group_by(BillSettlement.ledger_entry_id)
        .having(func.sum(BillSettlement.amount) > 0)
        .order_by(BillSettlement.ledger_entry_id)
    )
    return [(entry_id, Money.from_decimal(amount)) for entry_id, amount in rows]

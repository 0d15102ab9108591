"""Take a payment: it pays bills, and may let a suspended phone speak again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import Currency, Money
from billing_service.storage.audit import record_change
from billing_service.use_cases.take_money import MoneyIn, MoneyReceipt, take_money


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment to be taken. `bill` names the bill that it is for; else the oldest unpaid one comes first."""

    account: str
    amount: Money
    bill: str | None
    note: str
    actor: str


def record_payment(session: Session, payment: Payment, *, at: datetime, currency: Currency) -> MoneyReceipt:
    """Record a payment and settle bills with it; what is left over is credit for the next bill.

    Raises:
        InvalidFields: there is no such account or no such bill of the account, or the amount can't be paid.
        Conflict: the bill is not open to payment.
    """
    money = MoneyIn(
        EntryKind.PAYMENT, payment.account, payment.amount, payment.bill, payment.note, payment.actor
    )
    receipt = take_money(session, money, at=at, currency=currency)
    record_change(
        session,
        actor=payment.actor,
        action="pay",
        subject_kind="account",
        subject=payment.account,
        changes={
            "amount": payment.amount.format_precise(),
            "bill": payment.bill,
            "note": payment.note,
            "ledger_entry": receipt.entry_id,
            "reactivated": receipt.reactivated,
        },
    )
    return receipt

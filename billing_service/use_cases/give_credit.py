"""Give an account a credit: money that nobody paid, with the reason. It pays bills as a payment does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import Currency, Money
from billing_service.storage.audit import record_change
from billing_service.use_cases.take_money import MoneyIn, MoneyReceipt, take_money


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit to be given, and why. `bill` names the bill that it is for, as with a payment."""

    account: str
    amount: Money
    bill: str | None
    reason: str
    actor: str


def give_credit(session: Session, credit: Credit, *, at: datetime, currency: Currency) -> MoneyReceipt:
    """Credit an account and settle bills with it; what is left over is used by the next bill.

    Raises:
        InvalidFields: there is no such account or no such bill of the account, or the amount can't be paid.
        Conflict: the bill is not open to payment.
    """
    money = MoneyIn(EntryKind.CREDIT, credit.account, credit.amount, credit.bill, credit.reason, credit.actor)
    receipt = take_money(session, money, at=at, currency=currency)
    record_change(
        session,
        actor=credit.actor,
        action="credit",
        subject_kind="account",
        subject=credit.account,
        changes={
            "amount": credit.amount.format_precise(),
            "bill": credit.bill,
            "reason": credit.reason,
            "ledger_entry": receipt.entry_id,
            "reactivated": receipt.reactivated,
        },
    )
    return receipt

"""Book money that an account gets, be it paid or credited: it pays bills, and may reactivate the account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.events import EventKind
from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.errors import Conflict
from billing_service.storage.account_history import lock_account
from billing_service.storage.publishing import publish_money
from billing_service.storage.tables import Bill, LedgerEntry, PhoneAccount
from billing_service.use_cases.follow_dunning import reactivate_if_paid
from billing_service.use_cases.settle_bills import settle_bills

# Far above any payment, far below what a column holds: a slip of the finger must not make sums absurd.
LARGEST_AMOUNT: Final = Money.parse("9999999999.999999")
_TOLD_AS: Final = {
    EntryKind.PAYMENT: EventKind.PAYMENT_TAKEN,
    EntryKind.CREDIT: EventKind.CREDIT_GIVEN,
}


@dataclass(frozen=True, slots=True)
class MoneyIn:
    """Money for an account. `bill` names the bill that it is for; else the oldest unpaid one comes first."""

    kind: EntryKind
    account: str
    amount: Money
    bill: str | None
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class MoneyReceipt:
    """What money did: the bills now paid in full because of it, and whether the phone is active again."""

    entry_id: int
    settled: tuple[str, ...]
    reactivated: bool


def take_money(session: Session, money: MoneyIn, *, at: datetime, currency: Currency) -> MoneyReceipt:
    """Book a payment or credit and settle bills with it; what is left over is credit for the next bill.

    Raises:
        InvalidFields: there is no such account or no such bill of the account, or the amount can't be paid.
        Conflict: the bill is not open to payment.
    """
    check_amount(money.amount, currency)
    account = lock_account(session, money.account)
    if account is None:
        raise InvalidFields.one("account", f"there is no phone account {money.account}")
    bill = None if money.bill is None else _payable_bill(session, account, money.bill)
    entry = LedgerEntry(
        account_id=account.id,
        kind=money.kind.value,
        amount=money.amount.to_decimal(),
        bill_id=None if bill is None else bill.id,
        reason=money.reason,
        actor=money.actor,
        occurred_at=at,
    )
    session.add(entry)
    session.flush()
    publish_money(session, _TOLD_AS[money.kind], entry.id, currency=currency)
    settled = settle_bills(session, account.id, at=at)
    reactivated = reactivate_if_paid(session, account, paid_in_full=len(settled), at=at, actor=money.actor)
    return MoneyReceipt(entry.id, tuple(paid.number for paid in settled), reactivated)


def check_amount(amount: Money, currency: Currency) -> None:
    """Raise InvalidFields for an amount of money that can't change hands."""
    if amount <= ZERO:
        raise InvalidFields.one("amount", "an amount is more than zero")
    if amount > LARGEST_AMOUNT:
        raise InvalidFields.one("amount", "at most ten digits before the point can change hands at once")
    if amount != amount.rounded(currency):
        raise InvalidFields.one("amount", f"{currency.code} has {currency.minor_digits} decimal places")


def _payable_bill(session: Session, account: PhoneAccount, number: str) -> Bill:
    bill = session.scalar(select(Bill).where(Bill.number == number, Bill.account_id == account.id))
    if bill is None:
        raise InvalidFields.one("bill", f"account {account.number} has no bill {number}")
    if bill.state != "closed":
        raise Conflict(f"bill {number} is {bill.state}; money for the account needs no bill number")
    return bill

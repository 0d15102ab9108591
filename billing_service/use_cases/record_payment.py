"""Take a payment: it pays bills, and may let a suspended phone speak again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.dunning import AccountState, may_reactivate
from billing_service.domain.errors import InvalidFields
from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.errors import Conflict
from billing_service.storage.account_history import change_state, lock_account
from billing_service.storage.tables import AccountStateHistory, Bill, LedgerEntry, PhoneAccount
from billing_service.use_cases.settle_bills import count_unpaid_bills, dunning_limits, settle_bills


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment to be taken. `bill` names the bill that it is for; else the oldest unpaid one comes first."""

    account: str
    amount: Money
    bill: str | None
    note: str
    actor: str


@dataclass(frozen=True, slots=True)
class PaymentReceipt:
    """What a payment did: the bills now paid in full because of it, and whether the phone is active again."""

    entry_id: int
    settled: tuple[str, ...]
    reactivated: bool


def record_payment(session: Session, payment: Payment, *, at: datetime, currency: Currency) -> PaymentReceipt:
    """Record a payment and settle bills with it; what is left over is credit for the next bill.

    Raises:
        InvalidFields: there is no such account or no such bill of the account, or the amount can't be paid.
        Conflict: the bill is not open to payment.
    """
    if payment.amount <= ZERO:
        raise InvalidFields.one("amount", "a payment is more than zero")
    if payment.amount != payment.amount.rounded(currency):
        raise InvalidFields.one("amount", f"{currency.code} has {currency.minor_digits} decimal places")
    account = lock_account(session, payment.account)
    if account is None:
        raise InvalidFields.one("account", f"there is no phone account {payment.account}")
    bill = None if payment.bill is None else _payable_bill(session, account, payment.bill)
    entry = LedgerEntry(
        account_id=account.id,
        kind=EntryKind.PAYMENT.value,
        amount=payment.amount.to_decimal(),
        bill_id=None if bill is None else bill.id,
        reason=payment.note,
        actor=payment.actor,
        occurred_at=at,
    )
    session.add(entry)
    session.flush()
    settled = settle_bills(session, account.id, at=at)
    reactivated = _reactivate_if_paid(session, account, paid_in_full=len(settled), at=at, actor=payment.actor)
    return PaymentReceipt(entry.id, tuple(paid.number for paid in settled), reactivated)


def _payable_bill(session: Session, account: PhoneAccount, number: str) -> Bill:
    bill = session.scalar(select(Bill).where(Bill.number == number, Bill.account_id == account.id))
    if bill is None:
        raise InvalidFields.one("bill", f"account {account.number} has no bill {number}")
    if bill.state != "closed":
        raise Conflict(f"bill {number} is {bill.state}; a payment for the account needs no bill number")
    return bill


def _reactivate_if_paid(
    session: Session, account: PhoneAccount, *, paid_in_full: int, at: datetime, actor: str
) -> bool:
    reason = session.scalar(
        select(AccountStateHistory.reason).where(
            AccountStateHistory.account_id == account.id, AccountStateHistory.valid_to.is_(None)
        )
    )
    if not may_reactivate(
        AccountState(account.state),
        reason=reason or "",
        paid_in_full=paid_in_full,
        unpaid_bills=count_unpaid_bills(session, account.id),
        limit=dunning_limits(session).unpaid_bill_limit,
    ):
        return False
    change_state(session, account, state=AccountState.ACTIVE.value, at=at, reason="bill_paid", actor=actor)
    return True

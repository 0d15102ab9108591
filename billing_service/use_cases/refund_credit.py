"""Give money back that was paid for an account beyond what its bills need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.events import EventKind
from billing_service.domain.ledger import EntryKind, RefundTooLarge, refund
from billing_service.domain.money import Currency, Money, total
from billing_service.errors import Conflict
from billing_service.storage.account_history import lock_account
from billing_service.storage.audit import record_change
from billing_service.storage.publishing import publish_money
from billing_service.storage.tables import BillSettlement, LedgerEntry
from billing_service.use_cases.settle_bills import available_money
from billing_service.use_cases.take_money import check_amount


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund to be made, and why."""

    account: str
    amount: Money
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class RefundReceipt:
    """A refund that was made, and the credit that the account has left."""

    entry_id: int
    credit_left: Money


def refund_credit(session: Session, wanted: Refund, *, at: datetime, currency: Currency) -> RefundReceipt:
    """Pay back what was paid and no bill needed; it can pay no bill any more. The oldest payment goes first.

    What the account was given as credits pays bills only.

    Raises:
        InvalidFields: there is no such account, or the amount can't be paid.
        Conflict: it is more than was paid beyond the bills.
    """
    check_amount(wanted.amount, currency)
    account = lock_account(session, wanted.account)
    if account is None:
        raise InvalidFields.one("account", f"there is no phone account {wanted.account}")
    money = available_money(session, account.id)
    try:
        parts = refund(money, wanted.amount)
    except RefundTooLarge as error:
        raise Conflict(
            f"{error.available.format(currency)} {currency.code} was paid for the account {wanted.account}"
            " beyond its bills; a refund can't be more than that, and credits are never paid out."
        ) from error
    entry = LedgerEntry(
        account_id=account.id,
        kind=EntryKind.REFUND.value,
        amount=-wanted.amount.to_decimal(),
        reason=wanted.reason,
        actor=wanted.actor,
        occurred_at=at,
    )
    session.add(entry)
    session.flush()
    session.add_all(
        BillSettlement(
            refund_id=entry.id,
            ledger_entry_id=part.entry_id,
            amount=part.amount.to_decimal(),
            settled_at=at,
        )
        for part in parts
    )
    record_change(
        session,
        actor=wanted.actor,
        action="refund",
        subject_kind="account",
        subject=wanted.account,
        changes={
            "amount": wanted.amount.format_precise(),
            "reason": wanted.reason,
            "ledger_entry": entry.id,
        },
    )
    session.flush()
    publish_money(session, EventKind.REFUND_MADE, entry.id, currency=currency)
    return RefundReceipt(entry.id, total(source.left for source in money) - wanted.amount)

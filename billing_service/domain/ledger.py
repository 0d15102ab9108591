"""Which money pays which bill.

The ledger only grows: charges and their reversals, payments, credits, refunds. A settlement says how much of
a payment or credit went to which bill, or how much of a payment was given back by which refund. What is left
of either is used by the next bill. A bill that is voided, or comes to less when it is closed again, releases
what was paid on it beyond its total: settlements of negative amounts, so that nothing written is ever
changed.

At any time: balance = sum of all entries = money available - what is due on bills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from billing_service.domain.errors import DomainError
from billing_service.domain.money import ZERO, Money, total


class EntryKind(Enum):
    """What moves an account's balance. Charges and refunds are negative amounts, the others positive ones."""

    CHARGE = "charge"
    REVERSAL = "reversal"
    """Takes back a charge or a part of it. It is no money to pay with: it makes a bill smaller."""
    PAYMENT = "payment"
    CREDIT = "credit"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class UnpaidBill:
    """A bill with what is still due on it (more than zero)."""

    bill_id: int
    due: Money


@dataclass(frozen=True, slots=True)
class AvailableMoney:
    """What is left of a payment or credit (more than zero), and the bill that it names, if any.

    `paid_in` is false for a credit: nobody paid it, so it can pay bills and never be paid out.
    """

    entry_id: int
    left: Money
    for_bill_id: int | None = None
    paid_in: bool = True


@dataclass(frozen=True, slots=True)
class Settlement:
    """That a part of a payment or credit pays a part of a bill; a negative amount is released from it."""

    bill_id: int
    entry_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Refunded:
    """How much of a payment a refund gives back."""

    entry_id: int
    amount: Money


def settle(bills: Sequence[UnpaidBill], money: Sequence[AvailableMoney]) -> list[Settlement]:
    """Use money, the oldest first, to pay bills, the oldest first; both are given in that order.

    Money that names a bill pays that one first; what it leaves pays the others in order. Money that is not in
    any settlement stays available.
    """
    due = {bill.bill_id: bill.due for bill in bills}
    settlements: list[Settlement] = []
    for source in money:
        left = source.left
        order = sorted(due, key=lambda bill_id: bill_id != source.for_bill_id)  # stable: else as given
        for bill_id in order:
            amount = min(left, due[bill_id])
            if amount > ZERO:
                settlements.append(Settlement(bill_id, source.entry_id, amount))
                due[bill_id] -= amount
                left -= amount
    return settlements


def release(bill_id: int, paid: Sequence[tuple[int, Money]], *, excess: Money) -> list[Settlement]:
    """Release money from a bill that was paid with more than it now comes to.

    `paid` is what each entry has paid on the bill, in the order of the entries; the newest is released first.
    """
    assert ZERO <= excess <= total(amount for _, amount in paid), "only what was paid can be released"
    released: list[Settlement] = []
    for entry_id, amount in reversed(paid):
        part = min(amount, excess)
        if part > ZERO:
            released.append(Settlement(bill_id, entry_id, -part))
            excess -= part
    return released


def refund(money: Sequence[AvailableMoney], amount: Money) -> list[Refunded]:
    """Take a refund from the available money that was paid in, the oldest first; credits stay.

    Raises:
        RefundTooLarge: it is more than is available.
    """
    paid_in = [source for source in money if source.paid_in]
    available = total(source.left for source in paid_in)
    if amount > available:
        raise RefundTooLarge(available)
    parts: list[Refunded] = []
    for source in paid_in:
        part = min(source.left, amount)
        if part > ZERO:
            parts.append(Refunded(source.entry_id, part))
            amount -= part
    return parts


class RefundTooLarge(DomainError):
    """A refund of more than the account has beyond what its bills need."""

    def __init__(self, available: Money) -> None:
        super().__init__("a refund is at most what the account has paid beyond its bills")
        self.available = available

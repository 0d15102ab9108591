"""Which money pays which bill.

The ledger only grows: charges, payments, credits, refunds. A settlement says how much of a payment or credit
went to which bill. What is left of a payment is credit, used by the next bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from billing_service.domain.money import ZERO, Money


class EntryKind(Enum):
    """What moves an account's balance. Charges and refunds are negative amounts, the others positive ones."""

    CHARGE = "charge"
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
    """What is left of a payment or credit (more than zero), and the bill that it names, if any."""

    entry_id: int
    left: Money
    for_bill_id: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """That a part of a payment or credit pays a part of a bill."""

    bill_id: int
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

"""When unpaid bills silence a phone, and when paying one lets it speak again."""

from __future__ import annotations

from enum import Enum
from typing import Final


class AccountState(Enum):
    """What a phone account may do."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Registers and reaches emergency numbers, nothing else."""
    CLOSED = "closed"
    OUT_OF_SERVICE = "out_of_service"


SUSPENDED_FOR_UNPAID_BILLS: Final = "unpaid_bills"
"""The reason in the state history: a payment undoes this, never what an administrator did."""


def must_suspend(state: AccountState, *, unpaid_bills: int, limit: int) -> bool:
    """Whether closing a bill suspends the account: its unpaid bills have reached the limit."""
    return state is AccountState.ACTIVE and unpaid_bills >= limit


def may_reactivate(
    state: AccountState, *, reason: str, paid_in_full: int, unpaid_bills: int, limit: int
) -> bool:
    """Whether a payment makes the account active again.

    It must have brought at least one bill to paid in full (`paid_in_full`, in which a bill that was voided
    counts too), and left fewer unpaid ones than the limit.
    """
    return (
        state is AccountState.SUSPENDED
        and reason == SUSPENDED_FOR_UNPAID_BILLS
        and paid_in_full > 0
        and unpaid_bills < limit
    )

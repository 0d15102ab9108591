"""Let an account's state follow its unpaid bills: suspended at the limit, active again when one is paid."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.dunning import (
    SUSPENDED_FOR_UNPAID_BILLS,
    AccountState,
    may_reactivate,
    must_suspend,
)
from billing_service.storage.account_history import change_state
from billing_service.storage.tables import AccountStateHistory, PhoneAccount
from billing_service.use_cases.settle_bills import count_unpaid_bills, dunning_limits

BILL_PAID: Final = "bill_paid"
"""The reason in the state history when paying brought an account back."""


def reactivate_if_paid(
    session: Session, account: PhoneAccount, *, paid_in_full: int, at: datetime, actor: str
) -> bool:
    """Make a suspended account active again if its unpaid bills were the reason and no longer are.

    `paid_in_full` bills have just been paid in full, or are owed no more. Lock the account first.
    """
    if account.state != AccountState.SUSPENDED.value:
        return False
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
    change_state(session, account, state=AccountState.ACTIVE.value, at=at, reason=BILL_PAID, actor=actor)
    return True


def suspend_if_unpaid(session: Session, account: PhoneAccount, *, at: datetime, actor: str) -> bool:
    """Suspend an active account whose unpaid bills have reached the limit. Lock the account first."""
    unpaid = count_unpaid_bills(session, account.id)
    limit = dunning_limits(session).unpaid_bill_limit
    # The accounts of nobody's numbers have no phone that could be silenced.
    if account.closes_on_request or not must_suspend(
        AccountState(account.state), unpaid_bills=unpaid, limit=limit
    ):
        return False
    change_state(
        session,
        account,
        state=AccountState.SUSPENDED.value,
        at=at,
        reason=SUSPENDED_FOR_UNPAID_BILLS,
        actor=actor,
    )
    return True

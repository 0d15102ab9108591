"""Changes of an account's state and plan: the account as it is now, and its history, always together."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.storage.publishing import publish_account_states, publish_changed_plans
from billing_service.storage.tables import AccountPlanHistory, AccountStateHistory, PhoneAccount

History = TypeVar("History", AccountPlanHistory, AccountStateHistory)


def lock_account(session: Session, number: str, *, against_intake: bool = False) -> PhoneAccount | None:
    """Return the account with this number, locked against other changes until the transaction ends.

    Calls that arrive for it meanwhile wait only `against_intake`, for those who move its open period.
    """
    return session.scalar(
        select(PhoneAccount)
        .where(PhoneAccount.number == number)
        .with_for_update(key_share=not against_intake)
        .execution_options(populate_existing=True)
    )


def change_state(
    session: Session,
    account: PhoneAccount,
    *,
    state: str,
    at: datetime,
    reason: str = "",
    actor: str = "",
) -> None:
    """Put an account into a state from an instant on; lock the account first.

    An instant before the last change counts as the instant of that change: history is never rewritten.
    """
    current = _current(session, AccountStateHistory, account)
    since = _end(session, current, at)
    account.state = state
    account.closed_at = since if state == "closed" else None
    session.add(
        AccountStateHistory(
            account_id=account.id, state=state, valid_from=since, valid_to=None, reason=reason, actor=actor
        )
    )
    session.flush()
    publish_account_states(session, state, PhoneAccount.id == account.id)


def change_plan_version(
    session: Session, account: PhoneAccount, *, plan_version_id: int, at: datetime
) -> None:
    """Put another plan version in force for an account from an instant on; lock the account first.

    An instant before the last change counts as the instant of that change.
    """
    current = _current(session, AccountPlanHistory, account)
    since = _end(session, current, at)
    session.add(
        AccountPlanHistory(
            account_id=account.id, plan_version_id=plan_version_id, valid_from=since, valid_to=None
        )
    )
    session.flush()
    publish_changed_plans(session, PhoneAccount.id == account.id)


def _current(session: Session, table: type[History], account: PhoneAccount) -> History | None:
    return session.scalar(select(table).where(table.account_id == account.id, table.valid_to.is_(None)))


def _end(session: Session, row: History | None, at: datetime) -> datetime:
    """End the row at an instant and return the instant; a row that would be empty goes altogether."""
    if row is None:
        return at
    at = max(at, row.valid_from)
    if at == row.valid_from:
        session.delete(row)
    else:
        row.valid_to = at
    session.flush()
    return at

"""Which accounts may block callers: those whose plan in force permits it."""

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from billing_service.storage.tables import AccountPlanHistory, PhoneAccount, PlanVersion


def refresh_blocking(
    session: Session, *, at: datetime, account_id: int | None = None, since: datetime | None = None
) -> int:
    """Let accounts block callers exactly where their plan in force permits it, and return how many changed.

    The directory follows by itself. All accounts are looked at, unless one is named or only those with a plan
    version that came into force at or after `since`.
    """
    differing = (
        select(PhoneAccount.id, PlanVersion.permits_blocking)
        .join(AccountPlanHistory, AccountPlanHistory.account_id == PhoneAccount.id)
        .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
        .where(
            AccountPlanHistory.valid_from <= at,
            or_(AccountPlanHistory.valid_to.is_(None), AccountPlanHistory.valid_to > at),
            PlanVersion.permits_blocking != PhoneAccount.blocking_permitted,
        )
        # In order, so that two of these wait for each other and don't deadlock.
        .order_by(PhoneAccount.id)
        .with_for_update(of=PhoneAccount, key_share=True)
    )
    if account_id is not None:
        differing = differing.where(PhoneAccount.id == account_id)
    if since is not None:
        differing = differing.where(AccountPlanHistory.valid_from >= since)
    found = dict(session.execute(differing).all())
    for permitted in (False, True):
        ids = [account for account, permits in found.items() if permits is permitted]
        if ids:
            session.execute(
                update(PhoneAccount).where(PhoneAccount.id.in_(ids)).values(blocking_permitted=permitted)
            )
    return len(found)

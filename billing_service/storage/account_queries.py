"""Reading phone accounts as the API shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from billing_service.storage.tables import (
    AccountPlanHistory,
    Bill,
    BillingPlan,
    Customer,
    LedgerEntry,
    PhoneAccount,
    PlanVersion,
)
from billing_service.storage.text_search import contains


@dataclass(frozen=True, slots=True)
class AccountView:
    """A phone account with what belongs to it at an instant.

    `balance` is what the account has paid beyond what it was billed: negative when it owes. The plan is the
    one in force; a closed account shows its last.
    """

    account: PhoneAccount
    customer_name: str
    plan_id: int
    plan_name: str
    balance: Decimal
    unpaid_bills: int


def find_account(session: Session, number: str, *, at: datetime) -> AccountView | None:
    """Return one account, or None."""
    row = session.execute(_accounts(at).where(PhoneAccount.number == number)).one_or_none()
    return None if row is None else AccountView(*row)


def list_accounts(
    session: Session,
    *,
    customer_id: int | None = None,
    state: str | None = None,
    plan_id: int | None = None,
    unpaid: bool | None = None,
    text: str | None = None,
    after_number: str | None = None,
    limit: int,
    at: datetime,
) -> Sequence[AccountView]:
    """Return accounts by number, those that fit everything asked for: `plan_id` is the plan in force."""
    query = _accounts(at).order_by(PhoneAccount.number).limit(limit)
    if customer_id is not None:
        query = query.where(PhoneAccount.customer_id == customer_id)
    if state is not None:
        query = query.where(PhoneAccount.state == state)
    if plan_id is not None:
        # Whoever has ever had the plan, which an index tells; then those who have it.
        ever = (
            select(AccountPlanHistory.account_id)
            .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
            .where(PlanVersion.plan_id == plan_id)
        )
        query = query.where(PhoneAccount.id.in_(ever), query.selected_columns.plan_id == plan_id)
    if unpaid is not None:
        owes = select(Bill.id).where(Bill.account_id == PhoneAccount.id, Bill.state == "closed").exists()
        query = query.where(owes if unpaid else ~owes)
    if text:
        query = query.where(
            or_(
                contains(PhoneAccount.number, text),
                contains(PhoneAccount.display_name, text),
                contains(Customer.name, text),
            )
        )
    if after_number is not None:
        query = query.where(PhoneAccount.number > after_number)
    return [AccountView(*row) for row in session.execute(query)]


def plan_version_at(session: Session, account_id: int, at: datetime) -> int | None:
    """Return the plan version that was in force for an account at an instant, or None before it had one."""
    return session.scalar(
        select(AccountPlanHistory.plan_version_id).where(
            AccountPlanHistory.account_id == account_id,
            AccountPlanHistory.valid_from <= at,
            or_(AccountPlanHistory.valid_to.is_(None), AccountPlanHistory.valid_to > at),
        )
    )


def _accounts(at: datetime) -> Select[PhoneAccount, str, int, str, Decimal, int]:
    # The newest row that has begun; before the first has (an account opened for a later day), the first.
    plan = (
        select(BillingPlan.id.label("plan_id"), BillingPlan.name.label("plan_name"))
        .join(PlanVersion, PlanVersion.plan_id == BillingPlan.id)
        .join(AccountPlanHistory, AccountPlanHistory.plan_version_id == PlanVersion.id)
        .where(AccountPlanHistory.account_id == PhoneAccount.id)
        .order_by((AccountPlanHistory.valid_from <= at).desc(), AccountPlanHistory.valid_from.desc())
        .limit(1)
        .lateral("plan")
    )
    balance = (
        select(func.coalesce(func.sum(LedgerEntry.amount), 0))
        .where(LedgerEntry.account_id == PhoneAccount.id)
        .scalar_subquery()
    )
    unpaid = (
        select(func.count())
        .select_from(Bill)
        .where(Bill.account_id == PhoneAccount.id, Bill.state == "closed")
        .scalar_subquery()
    )
    return (
        select(PhoneAccount, Customer.name, plan.c.plan_id, plan.c.plan_name, balance, unpaid)
        .join(Customer, Customer.id == PhoneAccount.customer_id)
        .join(plan, plan.c.plan_id.is_not(None))
    )

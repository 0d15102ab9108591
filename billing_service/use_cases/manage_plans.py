"""Create billing plans, and edit them by making new versions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from billing_service.domain.allowance import Allowance
from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms, Price, Tariff
from billing_service.domain.plan_document import format_price, price_to_document, tariff_to_document
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.call_blocking import refresh_blocking
from billing_service.storage.plan_queries import (
    load_terms,
    load_terms_without_tariffs,
    newest_version,
    store_rate_sheet,
)
from billing_service.storage.publishing import publish_changed_plans
from billing_service.storage.tables import AccountPlanHistory, BillingPlan, PhoneAccount, PlanVersion

Value = TypeVar("Value")

_TARIFFS_IN_AUDIT: Final = 20


def create_plan(session: Session, terms: PlanTerms, *, actor: str, at: datetime) -> BillingPlan:
    """Add a plan with its first version; raise Conflict when the name is taken."""
    _require_free_name(session, terms.name)
    plan = BillingPlan(name=terms.name, active=True, created_at=at)
    session.add(plan)
    session.flush()
    rate_sheet_id = store_rate_sheet(session, terms.tariffs, at=at)
    _add_version(session, plan, terms, rate_sheet_id, number=1, actor=actor, at=at)
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="plan",
        subject=plan.id,
        after=_described(terms, plan, rate_sheet_id),
    )
    return plan


@dataclass(frozen=True, slots=True)
class PlanEdit:
    """What is to change in a plan; None leaves a thing as it is. `tariffs` replaces the whole rate sheet."""

    name: str | None = None
    monthly_fee: Money | None = None
    base_price: Price | None = None
    tariffs: Sequence[Tariff] | None = None
    included_minutes: int | None = None
    included_prefixes: Sequence[str] | None = None
    permits_blocking: bool | None = None
    active: bool | None = None

    def applied_to(self, terms: PlanTerms) -> PlanTerms:
        """The terms with these changes; those given without tariffs stay without, unless they change."""
        allowance = terms.allowance
        return PlanTerms(
            name=_given(self.name, terms.name),
            monthly_fee=_given(self.monthly_fee, terms.monthly_fee),
            base_price=_given(self.base_price, terms.base_price),
            tariffs=tuple(_given(self.tariffs, terms.tariffs)),
            allowance=Allowance(
                _given(self.included_minutes, allowance.minutes),
                tuple(_given(self.included_prefixes, allowance.prefixes)),
            ),
            permits_blocking=_given(self.permits_blocking, terms.permits_blocking),
        )


def _given(wanted: Value | None, present: Value) -> Value:
    return present if wanted is None else wanted


def edit_plan(session: Session, plan_id: int, edit: PlanEdit, *, actor: str, at: datetime) -> BillingPlan:
    """Give a plan new terms from an instant on, or retire it from new accounts.

    New terms make a new version, which is in force at once for all accounts with the plan; calls answered
    before keep the old one. Raises NotFound, Conflict when the new name is taken, and InvalidFields when the
    terms make no sense.
    """
    plan = session.get(BillingPlan, plan_id, with_for_update=True)
    if plan is None:
        raise NotFound(f"There is no billing plan {plan_id}.")
    newest = newest_version(session, plan_id)
    assert newest is not None, "a plan is created with its first version"
    # Unless the rate sheet changes, the new version shares it, and nobody has to look at it.
    present = (
        load_terms_without_tariffs(session, newest)
        if edit.tariffs is None
        else load_terms(session, newest.id)
    )
    terms = edit.applied_to(present)
    before = _described(present, plan, newest.rate_sheet_id)
    if edit.active is not None:
        plan.active = edit.active
    if terms.name != plan.name:
        _require_free_name(session, terms.name, except_for=plan.id)
        plan.name = terms.name
    rate_sheet_id = newest.rate_sheet_id
    if terms.tariffs != present.tariffs:
        rate_sheet_id = store_rate_sheet(session, terms.tariffs, at=at)
    if replace(terms, name=present.name) != present:
        # The clocks of two machines may differ a little; versions are in order all the same.
        at = max(at, newest.created_at)
        version = _add_version(
            session, plan, terms, rate_sheet_id, number=newest.version + 1, actor=actor, at=at
        )
        _put_in_force(session, version, at)
        refresh_blocking(session, at=at)
    after = _described(terms, plan, rate_sheet_id)
    changed = {field for field in after if after[field] != before[field]}
    if changed:
        record_change(
            session,
            actor=actor,
            action="edit",
            subject_kind="plan",
            subject=plan.id,
            before={field: before[field] for field in changed},
            after={field: after[field] for field in changed},
        )
    return plan


def _add_version(
    session: Session,
    plan: BillingPlan,
    terms: PlanTerms,
    rate_sheet_id: int,
    *,
    number: int,
    actor: str,
    at: datetime,
) -> PlanVersion:
    version = PlanVersion(
        plan_id=plan.id,
        version=number,
        monthly_fee=terms.monthly_fee.to_decimal(),
        base_price=price_to_document(terms.base_price),
        rate_sheet_id=rate_sheet_id,
        included_minutes=terms.allowance.minutes,
        included_prefixes=list(terms.allowance.prefixes),
        permits_blocking=terms.permits_blocking,
        created_at=at,
        created_by=actor,
    )
    session.add(version)
    session.flush()
    return version


def _put_in_force(session: Session, version: PlanVersion, at: datetime) -> None:
    """Let the version take over from an instant on wherever an earlier one of its plan would be in force."""
    earlier = select(PlanVersion.id).where(
        PlanVersion.plan_id == version.plan_id, PlanVersion.id != version.id
    )
    rows = session.execute(
        select(AccountPlanHistory.id, AccountPlanHistory.account_id, AccountPlanHistory.valid_from)
        .add_columns(AccountPlanHistory.valid_to)
        .where(
            AccountPlanHistory.plan_version_id.in_(earlier),
            or_(AccountPlanHistory.valid_to.is_(None), AccountPlanHistory.valid_to > at),
        )
        .order_by(AccountPlanHistory.id)
        .with_for_update()
    ).all()
    if not rows:
        return
    # Rows that have begun end here; those that would begin later (a change ordered in advance) are replaced.
    session.execute(
        update(AccountPlanHistory)
        .where(AccountPlanHistory.id.in_([row.id for row in rows if row.valid_from < at]))
        .values(valid_to=at)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        delete(AccountPlanHistory)
        .where(AccountPlanHistory.id.in_([row.id for row in rows if row.valid_from >= at]))
        .execution_options(synchronize_session=False)
    )
    session.execute(
        insert(AccountPlanHistory),
        [
            {
                "account_id": row.account_id,
                "plan_version_id": version.id,
                "valid_from": max(at, row.valid_from),
                "valid_to": row.valid_to,
            }
            for row in rows
        ],
    )
    publish_changed_plans(
        session,
        PhoneAccount.id.in_({row.account_id for row in rows}),
        AccountPlanHistory.plan_version_id == version.id,
    )


def _require_free_name(session: Session, name: str, *, except_for: int | None = None) -> None:
    owner = session.scalar(select(BillingPlan.id).where(func.lower(BillingPlan.name) == func.lower(name)))
    if owner is not None and owner != except_for:
        raise Conflict(f"There is already a billing plan named {name}.")


def _described(terms: PlanTerms, plan: BillingPlan, rate_sheet_id: int) -> dict[str, Any]:
    """A plan as the audit log shows it: a rate sheet by its identifier and, when known, its beginning."""
    return {
        "name": plan.name,
        "active": plan.active,
        "monthly_fee": format_price(terms.monthly_fee),
        "base_price": price_to_document(terms.base_price),
        "included_minutes": terms.allowance.minutes,
        "included_prefixes": list(terms.allowance.prefixes),
        "permits_blocking": terms.permits_blocking,
        "rate_sheet": rate_sheet_id,
        "tariff_count": len(terms.tariffs),
        "tariffs": [tariff_to_document(tariff) for tariff in terms.tariffs[:_TARIFFS_IN_AUDIT]],
    }

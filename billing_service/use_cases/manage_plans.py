"""Create billing plans, and edit them by making new versions."""

from datetime import datetime

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from billing_service.domain.plan import PlanTerms
from billing_service.domain.plan_document import format_price, price_to_document, tariff_to_document
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.plan_queries import load_terms, newest_version
from billing_service.storage.tables import AccountPlanHistory, BillingPlan, PlanVersion, Tariff


def create_plan(session: Session, terms: PlanTerms, *, actor: str, at: datetime) -> BillingPlan:
    """Add a plan with its first version; raise Conflict when the name is taken."""
    _require_free_name(session, terms.name)
    plan = BillingPlan(name=terms.name, active=True, created_at=at)
    session.add(plan)
    session.flush()
    _add_version(session, plan, terms, number=1, actor=actor, at=at)
    _audit(session, plan, terms, action="create", actor=actor)
    return plan


def edit_plan(
    session: Session,
    plan_id: int,
    *,
    terms: PlanTerms | None = None,
    active: bool | None = None,
    actor: str,
    at: datetime,
) -> BillingPlan:
    """Give a plan new terms from an instant on, or open or close it for new accounts.

    New prices make a new version, which is in force at once for all accounts with the plan; calls answered
    before keep the old one. Raises NotFound, or Conflict when the new name is taken.
    """
    plan = session.get(BillingPlan, plan_id, with_for_update=True)
    if plan is None:
        raise NotFound(f"There is no billing plan {plan_id}.")
    if active is not None and active != plan.active:
        plan.active = active
        record_change(
            session,
            actor=actor,
            action="edit",
            subject_kind="plan",
            subject=plan.id,
            changes={"active": active},
        )
    if terms is None:
        return plan
    if terms.name != plan.name:
        _require_free_name(session, terms.name, except_for=plan.id)
        plan.name = terms.name
    newest = newest_version(session, plan_id)
    assert newest is not None, "a plan is created with its first version"
    if load_terms(session, newest.id) != terms:
        # The clocks of two machines may differ a little; versions are in order all the same.
        at = max(at, newest.created_at)
        version = _add_version(session, plan, terms, number=newest.version + 1, actor=actor, at=at)
        _put_in_force(session, version, at)
    _audit(session, plan, terms, action="edit", actor=actor)
    return plan


def _add_version(
    session: Session, plan: BillingPlan, terms: PlanTerms, *, number: int, actor: str, at: datetime
) -> PlanVersion:
    version = PlanVersion(
        plan_id=plan.id,
        version=number,
        monthly_fee=terms.monthly_fee.to_decimal(),
        base_price=price_to_document(terms.base_price),
        created_at=at,
        created_by=actor,
    )
    session.add(version)
    session.flush()
    if terms.tariffs:
        session.execute(
            insert(Tariff),
            [
                {
                    "plan_version_id": version.id,
                    "source_prefix": tariff.source_prefix,
                    "destination_prefix": tariff.destination_prefix,
                    "valid_from": tariff.valid_from,
                    "valid_to": tariff.valid_to,
                    "price": price_to_document(tariff.price),
                }
                for tariff in terms.tariffs
            ],
        )
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


def _require_free_name(session: Session, name: str, *, except_for: int | None = None) -> None:
    owner = session.scalar(select(BillingPlan.id).where(func.lower(BillingPlan.name) == func.lower(name)))
    if owner is not None and owner != except_for:
        raise Conflict(f"There is already a billing plan named {name}.")


def _audit(session: Session, plan: BillingPlan, terms: PlanTerms, *, action: str, actor: str) -> None:
    record_change(
        session,
        actor=actor,
        action=action,
        subject_kind="plan",
        subject=plan.id,
        changes={
            "name": terms.name,
            "monthly_fee": format_price(terms.monthly_fee),
            "base_price": price_to_document(terms.base_price),
            "tariffs": [tariff_to_document(tariff) for tariff in terms.tariffs[:20]],
            "tariff_count": len(terms.tariffs),
        },
    )

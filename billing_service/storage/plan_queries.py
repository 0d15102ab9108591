"""Reading billing plans and their versions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms
from billing_service.domain.plan_document import price_from_document, tariff_from_document
from billing_service.storage.tables import AccountPlanHistory, BillingPlan, PhoneAccount, PlanVersion, Tariff


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with its newest version and how many open accounts have it."""

    plan: BillingPlan
    version: PlanVersion
    tariffs: Sequence[Tariff]
    account_count: int


def load_terms(session: Session, plan_version_id: int) -> PlanTerms:
    """Return a plan version as the domain knows it. The version must exist."""
    version = session.get_one(PlanVersion, plan_version_id)
    plan = session.get_one(BillingPlan, version.plan_id)
    tariffs = _tariffs(session, [plan_version_id])[plan_version_id]
    return PlanTerms(
        name=plan.name,
        monthly_fee=Money.from_decimal(version.monthly_fee),
        base_price=price_from_document(version.base_price),
        tariffs=tuple(
            tariff_from_document(
                {
                    "source_prefix": tariff.source_prefix,
                    "destination_prefix": tariff.destination_prefix,
                    "valid_from": tariff.valid_from,
                    "valid_to": tariff.valid_to,
                    "price": tariff.price,
                }
            )
            for tariff in tariffs
        ),
    )


def newest_version(session: Session, plan_id: int) -> PlanVersion | None:
    """Return the newest version of a plan, or None when there is no such plan."""
    return session.scalar(
        select(PlanVersion)
        .where(PlanVersion.plan_id == plan_id)
        .order_by(PlanVersion.version.desc())
        .limit(1)
    )


def find_plan(session: Session, plan_id: int, *, at: datetime) -> PlanView | None:
    """Return one plan, or None."""
    plan = session.get(BillingPlan, plan_id)
    return None if plan is None else _views(session, [plan], at)[0]


def list_plans(
    session: Session, *, after: tuple[str, int] | None, limit: int, at: datetime
) -> Sequence[PlanView]:
    """Return plans by name."""
    query = select(BillingPlan).order_by(BillingPlan.name, BillingPlan.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(BillingPlan.name, BillingPlan.id) > after)
    return _views(session, session.scalars(query).all(), at)


def _views(session: Session, plans: Sequence[BillingPlan], at: datetime) -> list[PlanView]:
    ids = [plan.id for plan in plans]
    newest = {
        version.plan_id: version
        for version in session.scalars(
            select(PlanVersion)
            .where(PlanVersion.plan_id.in_(ids))
            .ext(distinct_on(PlanVersion.plan_id))
            .order_by(PlanVersion.plan_id, PlanVersion.version.desc())
        )
    }
    counts = dict(
        session.execute(
            select(PlanVersion.plan_id, func.count())
            .join(AccountPlanHistory, AccountPlanHistory.plan_version_id == PlanVersion.id)
            .join(PhoneAccount, PhoneAccount.id == AccountPlanHistory.account_id)
            .where(
                PlanVersion.plan_id.in_(ids),
                PhoneAccount.state != "closed",
                AccountPlanHistory.valid_from <= at,
                or_(AccountPlanHistory.valid_to.is_(None), AccountPlanHistory.valid_to > at),
            )
            .group_by(PlanVersion.plan_id)
        ).all()
    )
    tariffs = _tariffs(session, [version.id for version in newest.values()])
    return [
        PlanView(plan, newest[plan.id], tariffs[newest[plan.id].id], counts.get(plan.id, 0)) for plan in plans
    ]


def _tariffs(session: Session, version_ids: Iterable[int]) -> defaultdict[int, list[Tariff]]:
    found: defaultdict[int, list[Tariff]] = defaultdict(list)
    for tariff in session.scalars(
        select(Tariff).where(Tariff.plan_version_id.in_(version_ids)).order_by(Tariff.id)
    ):
        found[tariff.plan_version_id].append(tariff)
    return found

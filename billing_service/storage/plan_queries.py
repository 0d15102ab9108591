"""Reading billing plans and their versions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import String, bindparam, cast, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing_service.domain import plan as domain
from billing_service.domain.allowance import Allowance
from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms
from billing_service.domain.plan_document import price_from_document, price_to_document
from billing_service.storage.tables import (
    AccountPlanHistory,
    BillingPlan,
    PhoneAccount,
    PlanVersion,
    RateSheet,
    Tariff,
)

MOST_TARIFFS_IN_A_VIEW: Final = 200
_ROWS_A_STATEMENT: Final = 5_000


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with its newest version and how many open accounts have it.

    `tariffs` is None when there are more than MOST_TARIFFS_IN_A_VIEW; `list_tariffs` has them in pages.
    """

    plan: BillingPlan
    version: PlanVersion
    tariff_count: int
    tariffs: Sequence[Tariff] | None
    account_count: int


def load_terms(session: Session, plan_version_id: int) -> PlanTerms:
    """Return a plan version as the domain knows it. The version must exist."""
    version = session.get_one(PlanVersion, plan_version_id)
    return _terms(session, version, load_tariffs(session, version.rate_sheet_id))


def load_terms_without_tariffs(session: Session, version: PlanVersion) -> PlanTerms:
    """Return a plan version but for its rate sheet, which may be long."""
    return _terms(session, version, ())


def _terms(session: Session, version: PlanVersion, tariffs: tuple[domain.Tariff, ...]) -> PlanTerms:
    plan = session.get_one(BillingPlan, version.plan_id)
    return PlanTerms(
        name=plan.name,
        monthly_fee=Money.from_decimal(version.monthly_fee),
        base_price=price_from_document(version.base_price),
        tariffs=tariffs,
        allowance=Allowance(version.included_minutes, tuple(version.included_prefixes)),
        permits_blocking=version.permits_blocking,
    )


def load_tariffs(session: Session, rate_sheet_id: int) -> tuple[domain.Tariff, ...]:
    """Return the tariffs of a rate sheet, in its order. Equal prices are one object."""
    prices: dict[str, domain.Price] = {}
    rows = session.execute(
        select(
            # As text, which tells equal prices apart from others without reading them.
            cast(Tariff.price, String),
            Tariff.destination_prefix,
            Tariff.source_prefix,
            Tariff.valid_from,
            Tariff.valid_to,
            Tariff.description,
        )
        .where(Tariff.rate_sheet_id == rate_sheet_id)
        .order_by(Tariff.id)
    )
    tariffs = []
    for price_text, destination, source, valid_from, valid_to, description in rows:
        price = prices.get(price_text)
        if price is None:
            price = prices[price_text] = price_from_document(json.loads(price_text))
        tariffs.append(domain.Tariff(price, destination, source, valid_from, valid_to, description))
    return tuple(tariffs)


def store_rate_sheet(session: Session, tariffs: Sequence[domain.Tariff], *, at: datetime) -> int:
    """Store a rate sheet and return its identifier."""
    sheet = RateSheet(tariff_count=len(tariffs), created_at=at)
    session.add(sheet)
    session.flush()
    # By identity: sheets have few prices, and writing one takes longer than looking it up.
    documents: dict[int, str] = {}
    for first in range(0, len(tariffs), _ROWS_A_STATEMENT):
        chunk = tariffs[first : first + _ROWS_A_STATEMENT]
        for tariff in chunk:
            if id(tariff.price) not in documents:
                documents[id(tariff.price)] = json.dumps(price_to_document(tariff.price))
        session.execute(
            _INSERT_TARIFFS,
            {
                "sheet": sheet.id,
                "destinations": [tariff.destination_prefix for tariff in chunk],
                "sources": [tariff.source_prefix for tariff in chunk],
                "starts": [tariff.valid_from for tariff in chunk],
                "ends": [tariff.valid_to for tariff in chunk],
                "prices": [documents[id(tariff.price)] for tariff in chunk],
                "descriptions": [tariff.description for tariff in chunk],
            },
        )
    return sheet.id


# One statement for thousands of rows, in the order of the sheet.
_INSERT_TARIFFS: Final = text(
    "INSERT INTO tariffs (rate_sheet_id, destination_prefix, source_prefix, valid_from, valid_to, price, "
    "description) SELECT :sheet, destination, source, starts, ends, price::jsonb, description FROM unnest("
    "CAST(:destinations AS text[]), CAST(:sources AS text[]), CAST(:starts AS timestamptz[]), "
    "CAST(:ends AS timestamptz[]), CAST(:prices AS text[]), CAST(:descriptions AS text[])) "
    "WITH ORDINALITY AS sheet (destination, source, starts, ends, price, description, place) ORDER BY place"
).bindparams(bindparam("sheet"))


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


def list_versions(
    session: Session, plan_id: int, *, before: int | None, limit: int
) -> Sequence[tuple[PlanVersion, int]]:
    """Return the versions of a plan with the sizes of their rate sheets, newest first."""
    query = (
        select(PlanVersion, RateSheet.tariff_count)
        .join(RateSheet, RateSheet.id == PlanVersion.rate_sheet_id)
        .where(PlanVersion.plan_id == plan_id)
        .order_by(PlanVersion.version.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(PlanVersion.version < before)
    return [(version, count) for version, count in session.execute(query)]


def find_version(session: Session, plan_id: int, number: int | None = None) -> PlanVersion | None:
    """Return a version of a plan by its number (None: the newest), or None when there is none."""
    if number is None:
        return newest_version(session, plan_id)
    return session.scalar(
        select(PlanVersion).where(PlanVersion.plan_id == plan_id, PlanVersion.version == number)
    )


def list_plans(
    session: Session,
    *,
    active: bool | None = None,
    after: tuple[str, int] | None,
    limit: int,
    at: datetime,
) -> Sequence[PlanView]:
    """Return plans by name: all, or those that are active, or those that are retired."""
    query = select(BillingPlan).order_by(BillingPlan.name, BillingPlan.id).limit(limit)
    if active is not None:
        query = query.where(BillingPlan.active.is_(active))
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
    sizes = dict(
        session.execute(
            select(RateSheet.id, RateSheet.tariff_count).where(
                RateSheet.id.in_({version.rate_sheet_id for version in newest.values()})
            )
        ).all()
    )
    tariffs = _tariffs(session, [sheet for sheet, size in sizes.items() if size <= MOST_TARIFFS_IN_A_VIEW])
    views = []
    for plan in plans:
        version = newest[plan.id]
        size = sizes[version.rate_sheet_id]
        shown = tariffs[version.rate_sheet_id] if size <= MOST_TARIFFS_IN_A_VIEW else None
        views.append(PlanView(plan, version, size, shown, counts.get(plan.id, 0)))
    return views


def list_tariffs(
    session: Session,
    rate_sheet_id: int,
    *,
    destination: str = "",
    after: tuple[str, str, int] | None,
    limit: int,
) -> Sequence[Tariff]:
    """Return tariffs whose destination prefix begins with some digits, ordered by their prefixes."""
    order = (Tariff.destination_prefix, Tariff.source_prefix, Tariff.id)
    query = select(Tariff).where(Tariff.rate_sheet_id == rate_sheet_id).order_by(*order).limit(limit)
    if destination:
        query = query.where(Tariff.destination_prefix.startswith(destination, autoescape=True))
    if after is not None:
        query = query.where(tuple_(*order) > after)
    return session.scalars(query).all()


def _tariffs(session: Session, sheet_ids: Iterable[int]) -> defaultdict[int, list[Tariff]]:
    found: defaultdict[int, list[Tariff]] = defaultdict(list)
    for tariff in session.scalars(
        select(Tariff).where(Tariff.rate_sheet_id.in_(sheet_ids)).order_by(Tariff.id)
    ):
        found[tariff.rate_sheet_id].append(tariff)
    return found

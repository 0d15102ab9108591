"""What was in force in accounts' periods, and the calls on their bills: one query a table, however many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Text, and_, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import TableValuedAlias

from billing_service.domain.allowance import NO_ALLOWANCE, Allowance
from billing_service.domain.bill import UnbilledCall
from billing_service.domain.dunning import AccountState
from billing_service.domain.money import MICROS_PER_UNIT, Money
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce
from billing_service.storage.closing_rows import period_arrays
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    BillingPlan,
    Call,
    PlanVersion,
)

# A phone that is out of service still has its number and its plan; a suspended or closed one has neither.
_CHARGED_STATES: Final = (AccountState.ACTIVE.value, AccountState.OUT_OF_SERVICE.value)


def _wanted(periods: Mapping[int, Period]) -> TableValuedAlias:
    """The accounts with their periods as a table to join with."""
    arrays = period_arrays(periods)
    return (
        func.unnest(
            cast(literal(arrays["accounts"], Text), ARRAY(BigInteger)),
            cast(literal(arrays["starts"], Text), ARRAY(DateTime(timezone=True))),
            cast(literal(arrays["ends"], Text), ARRAY(DateTime(timezone=True))),
        )
        .table_valued("account_id", "period_start", "period_end", name="wanted")
        .render_derived()
    )


def _clipped(wanted: TableValuedAlias, valid_from: Any, valid_to: Any) -> tuple[Any, Any]:
    """When something was in force in a period: null from its start, null up to its end.

    Nearly all was in force for the whole period, and reading an instant costs more than all else in a row.
    """
    return (
        func.nullif(func.greatest(valid_from, wanted.c.period_start), wanted.c.period_start),
        func.nullif(func.least(valid_to, wanted.c.period_end), wanted.c.period_end),
    )


def _part(period: Period, start: datetime | None, end: datetime | None) -> Period:
    """The part of a period that `_clipped` tells; the whole is the same object."""
    if start is None and end is None:
        return period
    return Period(start or period.start, end or period.end)


def charged_parts(session: Session, periods: Mapping[int, Period]) -> Mapping[int, Sequence[Period]]:
    """The parts of accounts' periods in which they were open and not suspended, in order."""
    wanted, history = _wanted(periods), AccountStateHistory
    rows = session.execute(
        select(history.account_id, *_clipped(wanted, history.valid_from, history.valid_to))
        .join(wanted, wanted.c.account_id == history.account_id)
        .where(
            history.state.in_(_CHARGED_STATES),
            history.valid_from < wanted.c.period_end,
            or_(history.valid_to.is_(None), history.valid_to > wanted.c.period_start),
        )
        .order_by(history.account_id, history.valid_from)
    )
    parts: defaultdict[int, list[Period]] = defaultdict(list)
    for account_id, start, end in rows:
        parts[account_id].append(_part(periods[account_id], start, end))
    return parts


def plans_in_force(session: Session, periods: Mapping[int, Period]) -> Mapping[int, Sequence[PlanInForce]]:
    """The plans in force in accounts' periods, in order, each with the part of the period in which it was."""
    wanted, history = _wanted(periods), AccountPlanHistory
    rows = session.execute(
        select(
            history.account_id,
            history.plan_version_id,
            *_clipped(wanted, history.valid_from, history.valid_to),
        )
        .join(wanted, wanted.c.account_id == history.account_id)
        .where(
            history.valid_from < wanted.c.period_end,
            or_(history.valid_to.is_(None), history.valid_to > wanted.c.period_start),
        )
        .order_by(history.account_id, history.valid_from)
    ).all()
    versions = _plan_versions(session, {version_id for _, version_id, _, _ in rows})
    # Most accounts have had one plan for the whole period, and most of these the same one.
    known: dict[tuple[int, int, datetime | None, datetime | None], PlanInForce] = {}
    plans: defaultdict[int, list[PlanInForce]] = defaultdict(list)
    for account_id, version_id, start, end in rows:
        period = periods[account_id]
        key = (version_id, id(period), start, end)
        plan = known.get(key)
        if plan is None:
            part = _part(period, start, end)
            name, fee, plan_id, allowance = versions[version_id]
            plan = known[key] = PlanInForce(version_id, name, fee, part.start, part.end, plan_id, allowance)
        plans[account_id].append(plan)
    return plans


def _plan_versions(session: Session, wanted: set[int]) -> Mapping[int, tuple[str, Money, int, Allowance]]:
    """The name, monthly fee, plan and allowance of plan versions."""
    rows = session.execute(
        select(
            PlanVersion.id,
            BillingPlan.name,
            PlanVersion.monthly_fee,
            PlanVersion.plan_id,
            PlanVersion.included_minutes,
            PlanVersion.included_prefixes,
        )
        .join(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(PlanVersion.id.in_(wanted))
    )
    return {
        version_id: (
            name,
            Money.from_decimal(fee),
            plan_id,
            Allowance(minutes, tuple(prefixes)) if minutes else NO_ALLOWANCE,
        )
        for version_id, name, fee, plan_id, minutes, prefixes in rows
    }


def calls_of(
    session: Session, periods: Mapping[int, Period], *, waiting_since: datetime | None = None
) -> Mapping[int, Sequence[UnbilledCall]]:
    """The calls on the bills of periods, and those that have ended by then and waited for one since."""
    wanted = _wanted(periods)
    which = and_(Call.billable_at >= wanted.c.period_start, Call.billable_at < wanted.c.period_end)
    if waiting_since is not None:
        which = or_(which, and_(Call.billable_at >= waiting_since, Call.ended_at < wanted.c.period_end))
    # Micro-units as integers: reading a Decimal costs as much as all else in a row.
    rows = session.execute(
        select(
            wanted.c.account_id,
            Call.record_id,
            Call.callee,
            Call.answered_at,
            Call.ended_at,
            Call.duration_us,
            cast(Call.price_precise * MICROS_PER_UNIT, BigInteger),
            cast(Call.price * MICROS_PER_UNIT, BigInteger),
            Call.plan_version_id,
            Call.caller,
        )
        .select_from(wanted)
        .join(Call, Call.account_id == wanted.c.account_id)
        .where(which)
    )
    calls: defaultdict[int, list[UnbilledCall]] = defaultdict(list)
    for account_id, record_id, callee, answered, ended, duration_us, precise, price, *plan_and_caller in rows:
        calls[account_id].append(
            UnbilledCall(
                record_id,
                callee,
                answered,
                ended,
                duration_us,
                Money(precise),
                Money(price),
                *plan_and_caller,
            )
        )
    return calls

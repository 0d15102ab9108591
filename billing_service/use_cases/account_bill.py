"""Put together the bill of an account's open period from what is stored."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents, UnbilledCall, build_bill
from billing_service.domain.call import Outcome
from billing_service.domain.dunning import AccountState
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import BillingCalendar, Period
from billing_service.domain.proration import PlanInForce
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    BillingPlan,
    Call,
    PhoneAccount,
    PlanVersion,
)

# A phone that is out of service still has its number and its plan; a suspended or closed one has neither.
_CHARGED_STATES: Final = (AccountState.ACTIVE.value, AccountState.OUT_OF_SERVICE.value)
WAITS_FOR_A_BILL: Final = (
    Call.bill_id.is_(None),
    Call.price.is_not(None),
    Call.outcome == Outcome.ANSWERED.value,
    Call.emergency.is_(False),
)
"""Conditions for a call that is rated, belongs on a bill, and is on none."""


def open_period(session: Session, account: PhoneAccount, zone: tzinfo) -> Period:
    """The period that the account's next bill is for.

    A closed account with its last bill has no open period left. A call that arrives after all goes on one
    more bill, for the time up to the end of the period in which it ended.
    """
    if account.period_end is not None:
        return Period(account.period_start, account.period_end)
    last_call_ended_at = session.scalar(
        select(func.max(Call.ended_at)).where(Call.account_id == account.id, *WAITS_FOR_A_BILL)
    )
    until = max(account.period_start, last_call_ended_at or account.period_start)
    return Period(
        account.period_start, BillingCalendar(zone, account.billing_day).period_containing(until).end
    )


def assemble_bill(
    session: Session, account: PhoneAccount, *, as_of: datetime, currency: Currency, zone: tzinfo
) -> BillContents:
    """The bill of the open period with the fee up to `as_of`, and every call that has arrived for it.

    When closing, lock the account first, so that nothing else bills its calls.
    """
    period = open_period(session, account, zone)
    return build_bill(
        period=period,
        whole=BillingCalendar(zone, account.billing_day).period_containing(period.start),
        charged=_charged_parts(session, account.id, period, as_of),
        plans=_plans_in_force(session, account.id, period),
        calls=_unbilled_calls(session, account.id, period),
        currency=currency,
        zone=zone,
    )


def _charged_parts(session: Session, account_id: int, period: Period, as_of: datetime) -> list[Period]:
    rows = session.execute(
        select(AccountStateHistory.valid_from, AccountStateHistory.valid_to)
        .where(
            AccountStateHistory.account_id == account_id,
            AccountStateHistory.state.in_(_CHARGED_STATES),
            AccountStateHistory.valid_from < period.end,
        )
        .order_by(AccountStateHistory.valid_from)
    )
    so_far = period.overlap(period.start, as_of)
    if so_far is None:
        return []
    parts = (so_far.overlap(valid_from, valid_to) for valid_from, valid_to in rows)
    return [part for part in parts if part is not None]


def _plans_in_force(session: Session, account_id: int, period: Period) -> list[PlanInForce]:
    rows = session.execute(
        select(
            PlanVersion.id,
            BillingPlan.name,
            PlanVersion.monthly_fee,
            AccountPlanHistory.valid_from,
            AccountPlanHistory.valid_to,
        )
        .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
        .join(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(
            AccountPlanHistory.account_id == account_id,
            AccountPlanHistory.valid_from < period.end,
            or_(AccountPlanHistory.valid_to.is_(None), AccountPlanHistory.valid_to > period.start),
        )
        .order_by(AccountPlanHistory.valid_from)
    )
    return [
        PlanInForce(version_id, name, Money.from_decimal(fee), valid_from, valid_to)
        for version_id, name, fee, valid_from, valid_to in rows
    ]


def _unbilled_calls(session: Session, account_id: int, period: Period) -> list[UnbilledCall]:
    rows = session.execute(
        select(
            Call.record_id,
            Call.callee,
            Call.answered_at,
            Call.ended_at,
            Call.duration_us,
            Call.price_precise,
            Call.price,
        ).where(
            Call.account_id == account_id,
            Call.ended_at < period.end,
            *WAITS_FOR_A_BILL,
        )
    )
    return [
        UnbilledCall(
            record_id,
            callee,
            answered_at,
            ended_at,
            duration_us,
            Money.from_decimal(price_precise),
            Money.from_decimal(price),
        )
        for record_id, callee, answered_at, ended_at, duration_us, price_precise, price in rows
        if answered_at is not None and price_precise is not None and price is not None
    ]

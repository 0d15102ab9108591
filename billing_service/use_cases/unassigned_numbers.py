"""Give numbers that have made calls and are nobody's a phone account of the built-in customer.

Such an account has no SIP password: no phone can register with it. Its periods are calendar months, in which
it was open from its first call on, however long ago that was, and they are closed on request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_service.domain.call import Call
from billing_service.domain.period import BillingCalendar
from billing_service.storage.audit import record_change
from billing_service.storage.billed_calls import move_open_period
from billing_service.storage.plan_queries import newest_version
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    Bill,
    BillingPlan,
    Customer,
    PhoneAccount,
)
from billing_service.storage.tables.accounts import UNASSIGNED
from billing_service.use_cases.change_settings import read_settings

ACTOR: Final = "intake"
CUSTOMER_NAME: Final = "Unassigned"
BILLING_DAY: Final = 1
NO_DEFAULT_PLAN: Final = (
    "its caller has no phone account, and no default plan is set that could be given to it"
)


@dataclass(frozen=True, slots=True)
class Callers:
    """What became of callers: those without account for want of a plan, and those that are nobody's.

    The latter have accounts of the built-in customer, some of them since just now.
    """

    unknown: frozenset[str]
    unassigned: frozenset[str]


def find_accounts_for(session: Session, calls: Iterable[Call], *, zone: tzinfo) -> Callers:
    """Open an account for every caller who has none. See `find_accounts_since`."""
    first_calls: dict[str, datetime] = {}
    for call in calls:
        first_calls[call.caller] = min(call.invited_at, first_calls.get(call.caller, call.invited_at))
    return find_accounts_since(session, first_calls, zone=zone)


def find_accounts_since(session: Session, first_calls: Mapping[str, datetime], *, zone: tzinfo) -> Callers:
    """Open an account for every caller who has none, and let those opened so reach back to their first call.

    When no default plan is set (or it is retired) nothing is opened; the callers without account are told.
    Somebody else may open the same accounts at the same time.
    """
    rows = session.execute(
        select(PhoneAccount.number, PhoneAccount.opened_at, PhoneAccount.closes_on_request).where(
            PhoneAccount.number.in_(first_calls)
        )
    ).all()
    known = {number for number, _, _ in rows}
    nobodys = {number for number, _, on_request in rows if on_request}
    early = sorted(
        number for number, opened_at, _ in rows if number in nobodys and first_calls[number] < opened_at
    )
    for number in early:
        _reach_back(session, number, first_calls[number], zone)
    missing = {number: at for number, at in first_calls.items() if number not in known}
    if not missing:
        return Callers(frozenset(), frozenset(nobodys))
    plan_version_id = _default_plan_version(session)
    if plan_version_id is None:
        return Callers(frozenset(missing), frozenset(nobodys))
    opened = _open_accounts(session, missing, plan_version_id, zone)
    for number in sorted(missing.keys() - opened):
        # A rival was faster; what it opened may not reach back far enough.
        _reach_back(session, number, missing[number], zone)
    return Callers(frozenset(), frozenset(nobodys | missing.keys()))


def _default_plan_version(session: Session) -> int | None:
    plan_id = read_settings(session).default_plan_id
    if plan_id is None:
        return None
    # Locked as for any new account, so that an edit of the plan in this moment is not missed.
    plan = session.get(BillingPlan, plan_id, with_for_update={"read": True})
    if plan is None or not plan.active:
        return None
    version = newest_version(session, plan_id)
    return None if version is None else version.id


def _unassigned_customer(session: Session) -> int:
    session.execute(
        insert(Customer)
        .values(name=CUSTOMER_NAME, built_in=UNASSIGNED)
        .on_conflict_do_nothing(index_elements=[Customer.built_in])
    )
    return session.scalars(select(Customer.id).where(Customer.built_in == UNASSIGNED)).one()


def _open_accounts(
    session: Session, first_calls: Mapping[str, datetime], plan_version_id: int, zone: tzinfo
) -> set[str]:
    customer_id = _unassigned_customer(session)
    calendar = BillingCalendar(zone, BILLING_DAY)
    periods = {number: calendar.period_containing(at) for number, at in first_calls.items()}
    # In order of the numbers, so that two intakes at once wait for each other and don't deadlock.
    rows = [
        {
            "number": number,
            "customer_id": customer_id,
            "display_name": number,
            "state": "active",
            "realm": "",
            "billing_day": BILLING_DAY,
            "closes_on_request": True,
            "opened_at": periods[number].start,
            "period_start": periods[number].start,
            "period_end": periods[number].end,
        }
        for number in sorted(periods)
    ]
    opened = {
        number: account_id
        for account_id, number in session.execute(
            insert(PhoneAccount)
            .on_conflict_do_nothing(index_elements=[PhoneAccount.number])
            .returning(PhoneAccount.id, PhoneAccount.number),
            rows,
        )
    }
    for number in sorted(opened):
        since = periods[number].start
        session.add(
            AccountPlanHistory(account_id=opened[number], plan_version_id=plan_version_id, valid_from=since)
        )
        session.add(
            AccountStateHistory(account_id=opened[number], state="active", valid_from=since, actor=ACTOR)
        )
        record_change(
            session,
            actor=ACTOR,
            action="open",
            subject_kind="account",
            subject=number,
            changes={"customer_id": customer_id, "billing_day": BILLING_DAY},
        )
    session.flush()
    return set(opened)


def _reach_back(session: Session, number: str, first_call_at: datetime, zone: tzinfo) -> None:
    """Let an unassigned account have been open since the month of a call from before it was opened."""
    account = session.scalar(
        select(PhoneAccount)
        .where(PhoneAccount.number == number)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if account is None or not account.closes_on_request or account.opened_at <= first_call_at:
        return
    period = BillingCalendar(zone, BILLING_DAY).period_containing(first_call_at)
    first_plan = (
        select(AccountPlanHistory)
        .where(AccountPlanHistory.account_id == account.id)
        .order_by(AccountPlanHistory.valid_from)
    )
    first_state = (
        select(AccountStateHistory)
        .where(AccountStateHistory.account_id == account.id)
        .order_by(AccountStateHistory.valid_from)
    )
    session.scalars(first_plan.limit(1)).one().valid_from = period.start
    session.scalars(first_state.limit(1)).one().valid_from = period.start
    account.opened_at = period.start
    # A void one counts, too: its period is closed again by the bill that replaces it.
    billed = session.scalar(select(Bill.id).where(Bill.account_id == account.id).limit(1))
    if billed is None:
        move_open_period(session, account, period)
    session.flush()

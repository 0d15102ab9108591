"""Tell the world what has happened: events made from what has just been stored.

Each function is one statement for any number of rows, in the transaction that made the change and after it
was flushed. The form of the documents is the contract in `docs/api/events.md`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Text, case, func, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased

from billing_service.domain.events import EventKind
from billing_service.domain.money import MINOR_UNIT_DIGITS, Currency
from billing_service.storage.outbox import instant_text, money_text, publish_rows
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    Bill,
    BillingPlan,
    BillSettlement,
    Call,
    LedgerEntry,
    PhoneAccount,
    PlanVersion,
    RejectedCallRecord,
)

_STATE_EVENTS = {
    "suspended": EventKind.ACCOUNT_SUSPENDED,
    "active": EventKind.ACCOUNT_REACTIVATED,
    "closed": EventKind.ACCOUNT_CLOSED,
}


def publish_bills(
    session: Session, kind: EventKind, *which: ColumnElement[bool], at: datetime | None = None
) -> None:
    """Tell of bills that were closed, paid, revised or voided, or are overdue.

    `which` are conditions on `Bill`. `at` is when; None is when they were closed.
    """
    digits = case(MINOR_UNIT_DIGITS, value=Bill.currency, else_=2)
    owed = {}
    if kind is EventKind.BILL_OVERDUE:
        paid = select(func.coalesce(func.sum(BillSettlement.amount), 0)).where(
            BillSettlement.bill_id == Bill.id
        )
        owed["amount_due"] = money_text(Bill.total - paid.scalar_subquery(), digits)
    data = _document(
        number=Bill.number,
        account=PhoneAccount.number,
        customer_id=Bill.customer_id,
        period_start=instant_text(Bill.period_start),
        period_end=instant_text(Bill.period_end),
        state=Bill.state,
        revision=Bill.revision,
        currency=Bill.currency,
        total=money_text(Bill.total, digits),
        due_on=Bill.due_on,
        closed_at=instant_text(Bill.closed_at),
        **owed,
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(at, Bill.closed_at), data)
        .join_from(Bill, PhoneAccount, PhoneAccount.id == Bill.account_id)
        .where(*which)
        .order_by(Bill.period_start, Bill.id)
    )
    publish_rows(session, kind, rows)


def publish_rated_calls(session: Session, *which: ColumnElement[bool], currency: Currency) -> None:
    """Tell of the calls among `which` (conditions on `Call`) that have a price."""
    data = _document(
        record_id=Call.record_id,
        call_id=Call.call_id,
        caller=Call.caller,
        callee=Call.callee,
        account=PhoneAccount.number,
        emergency=Call.emergency,
        answered_at=instant_text(Call.answered_at),
        ended_at=instant_text(Call.ended_at),
        duration_us=Call.duration_us,
        plan=BillingPlan.name,
        currency=literal(currency.code),
        price=money_text(Call.price, literal(currency.minor_digits)),
        price_precise=money_text(Call.price_precise, literal(6)),
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(None, Call.ended_at), data)
        .join_from(Call, PhoneAccount, PhoneAccount.id == Call.account_id)
        .outerjoin(PlanVersion, PlanVersion.id == Call.plan_version_id)
        .outerjoin(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(Call.price.is_not(None), *which)
        .order_by(Call.ended_at, Call.record_id)
    )
    publish_rows(session, EventKind.CALL_RATED, rows)


def publish_account_states(session: Session, state: str, *which: ColumnElement[bool]) -> None:
    """Tell of accounts (`which` are conditions on `PhoneAccount`) that have just been put into a state.

    A phone that goes out of service is nobody's news: it has no event.
    """
    kind = _STATE_EVENTS.get(state)
    if kind is None:
        return
    data = _document(
        number=PhoneAccount.number,
        customer_id=PhoneAccount.customer_id,
        state=PhoneAccount.state,
        since=instant_text(AccountStateHistory.valid_from),
        reason=AccountStateHistory.reason,
        actor=AccountStateHistory.actor,
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(None, AccountStateHistory.valid_from), data)
        .join_from(PhoneAccount, AccountStateHistory, AccountStateHistory.account_id == PhoneAccount.id)
        .where(AccountStateHistory.valid_to.is_(None), PhoneAccount.state == state, *which)
        .order_by(PhoneAccount.id)
    )
    publish_rows(session, kind, rows)


def publish_opened_accounts(session: Session, *which: ColumnElement[bool]) -> None:
    """Tell of new accounts; `which` are conditions on `PhoneAccount`."""
    first = aliased(AccountPlanHistory)
    data = _document(
        number=PhoneAccount.number,
        customer_id=PhoneAccount.customer_id,
        display_name=PhoneAccount.display_name,
        billing_day=PhoneAccount.billing_day,
        plan_id=BillingPlan.id,
        plan=BillingPlan.name,
        opened_at=instant_text(PhoneAccount.opened_at),
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(None, PhoneAccount.opened_at), data)
        .join_from(PhoneAccount, first, first.account_id == PhoneAccount.id)
        .join(PlanVersion, PlanVersion.id == first.plan_version_id)
        .join(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(first.valid_to.is_(None), *which)
        .order_by(PhoneAccount.id)
    )
    publish_rows(session, EventKind.ACCOUNT_OPENED, rows)


def publish_changed_plans(session: Session, *which: ColumnElement[bool]) -> None:
    """Tell of accounts (`which` are conditions on `PhoneAccount`) that have another plan, now or soon.

    The event's instant is the one from which the plan is in force.
    """
    data = _document(
        number=PhoneAccount.number,
        customer_id=PhoneAccount.customer_id,
        plan_id=BillingPlan.id,
        plan=BillingPlan.name,
        plan_version=PlanVersion.version,
        valid_from=instant_text(AccountPlanHistory.valid_from),
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(None, AccountPlanHistory.valid_from), data)
        .join_from(PhoneAccount, AccountPlanHistory, AccountPlanHistory.account_id == PhoneAccount.id)
        .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
        .join(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(AccountPlanHistory.valid_to.is_(None), *which)
        .order_by(PhoneAccount.id)
    )
    publish_rows(session, EventKind.PLAN_CHANGED, rows)


def publish_rejected_records(session: Session, *which: ColumnElement[bool]) -> None:
    """Tell of records and call events that were kept apart; `which` are conditions on the table's rows.

    They are nobody's yet: what they say of themselves is not to be believed.
    """
    data = _document(
        id=RejectedCallRecord.id,
        kind=RejectedCallRecord.kind,
        reason=RejectedCallRecord.reason,
        received_at=instant_text(RejectedCallRecord.received_at),
    )
    rows = (
        select(null().cast(Text).label("account"), _instant(None, RejectedCallRecord.received_at), data)
        .where(*which)
        .order_by(RejectedCallRecord.id)
    )
    publish_rows(session, EventKind.RECORD_REJECTED, rows)


def publish_money(session: Session, kind: EventKind, entry_id: int, *, currency: Currency) -> None:
    """Tell of a ledger entry: a payment taken, a credit given or a refund made."""
    data = _document(
        entry_id=LedgerEntry.id,
        account=PhoneAccount.number,
        customer_id=PhoneAccount.customer_id,
        currency=literal(currency.code),
        amount=money_text(LedgerEntry.amount, literal(currency.minor_digits)),
        bill=Bill.number,
        reason=LedgerEntry.reason,
        actor=LedgerEntry.actor,
        occurred_at=instant_text(LedgerEntry.occurred_at),
    )
    rows = (
        select(PhoneAccount.number.label("account"), _instant(None, LedgerEntry.occurred_at), data)
        .join_from(LedgerEntry, PhoneAccount, PhoneAccount.id == LedgerEntry.account_id)
        .outerjoin(Bill, Bill.id == LedgerEntry.bill_id)
        .where(LedgerEntry.id == entry_id)
    )
    publish_rows(session, kind, rows)


def _document(**fields: Any) -> ColumnElement[Any]:
    parts = [part for name, value in fields.items() for part in (literal(name), value)]
    return func.jsonb_build_object(*parts, type_=JSONB).label("data")


def _instant(given: datetime | None, stored: Any) -> ColumnElement[datetime]:
    chosen = stored if given is None else literal(given, DateTime(timezone=True))
    return chosen.label("occurred_at")

"""Which calls are on which bill, as SQL: a call is on the bill of the period that its instant falls in.

The instant (`Call.billable_at`) is set when the record arrives: when the call ended, or the start of the
period then open if that is later. Whoever closes a period or moves it locks the account's row whole (FOR
UPDATE), and whoever stores calls holds it FOR KEY SHARE: so a call is stored either before its period is
closed, and is on that bill, or after, and is on the next one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Numeric,
    ScalarSelect,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import Session, aliased

from billing_service.domain.money import MINOR_UNIT_DIGITS
from billing_service.domain.period import Period
from billing_service.storage.outbox import instant_text, money_text
from billing_service.storage.tables import Bill, BillCallList, BillRevision, Call, PhoneAccount

_PRECISE_DIGITS: Final = literal(6)
_CLOCK_STEP: Final = timedelta(days=1)
_Holder = aliased(Bill)


def is_on(bill: type[Bill] | Any) -> ColumnElement[bool]:
    """Whether a call is in the period of a bill (or of an alias of `Bill`), be that void or not."""
    return and_(
        Call.account_id == bill.account_id,
        Call.billable_at >= bill.period_start,
        Call.billable_at < bill.period_end,
        # Later partitions need not be looked into: no call ends before it began, but for steps of clocks.
        Call.invited_at < bill.period_end + _CLOCK_STEP,
    )


def waits_for_a_bill() -> ColumnElement[bool]:
    """Whether a call of an account is on no bill yet."""
    return and_(Call.account_id == PhoneAccount.id, Call.billable_at >= PhoneAccount.period_start)


def holder_of_call() -> ScalarSelect[int]:
    """The identifier of the bill that a call is on: not that of a void bill which was replaced."""
    return (
        select(_Holder.id)
        .where(
            _Holder.account_id == Call.account_id,
            _Holder.period_start <= Call.billable_at,
            _Holder.period_end > Call.billable_at,
        )
        .order_by(_Holder.period_start.desc(), _Holder.state == "void", _Holder.id.desc())
        .limit(1)
        .correlate(Call)
        .scalar_subquery()
    )


def holds_its_calls(bill: type[Bill] | Any) -> ColumnElement[bool]:
    """Whether the calls of a bill's period are on it, and not on another that replaced it."""
    other = aliased(Bill)
    better = and_(
        other.account_id == bill.account_id,
        other.period_start == bill.period_start,
        other.id > bill.id,
    )
    return ~exists().where(better)


def listed_calls() -> ColumnElement[Any]:
    """The calls of a revision as the API lists them (JSONB); for a query of `Bill` and `BillRevision`."""
    kept = (
        select(BillCallList.calls)
        .where(BillCallList.bill_id == BillRevision.bill_id, BillCallList.revision == BillRevision.revision)
        .scalar_subquery()
    )
    document: Any = BillRevision.document.expression
    return func.coalesce(document["calls"], kept, _found_calls(document), cast([], JSONB), type_=JSONB)


def _found_calls(document: Any) -> ScalarSelect[Any]:
    digits = case(MINOR_UNIT_DIGITS, value=Bill.currency, else_=2)
    inclusion = document["inclusions"][Call.record_id]
    fields: dict[str, Any] = {
        "record_id": Call.record_id,
        "callee": Call.callee,
        "answered_at": instant_text(Call.answered_at),
        "duration_us": Call.duration_us,
        "price_precise": money_text(Call.price_precise, _PRECISE_DIGITS),
        "price": money_text(Call.price, digits),
        "late": Call.ended_at < Call.billable_at,
        "included_s": func.coalesce(inclusion["included_s"], cast(0, JSONB), type_=JSONB),
        "included": func.coalesce(
            inclusion["included"].astext, money_text(cast(0, Numeric), digits), type_=Text
        ),
        "plan_version_id": Call.plan_version_id,
    }
    parts = [part for name, value in fields.items() for part in (literal(name), value)]
    one = func.jsonb_build_object(*parts, type_=JSONB)
    in_order = aggregate_order_by(one, Call.ended_at, Call.record_id)
    return (
        select(func.jsonb_agg(in_order, type_=JSONB))
        .where(is_on(Bill))
        .correlate(Bill, BillRevision)
        .scalar_subquery()
    )


def keep_call_list(session: Session, bill: Bill) -> None:
    """Keep the list of a bill's latest revision, before it is void or another revision takes its place."""
    rows = (
        select(BillRevision.bill_id, BillRevision.revision, listed_calls())
        .join(Bill, Bill.id == BillRevision.bill_id)
        .where(
            BillRevision.bill_id == bill.id,
            BillRevision.revision == bill.revision,
            ~BillRevision.document.expression.has_key("calls"),
        )
    )
    session.execute(insert(BillCallList).from_select(["bill_id", "revision", "calls"], rows))


def move_open_period(session: Session, account: PhoneAccount, period: Period) -> None:
    """Let an account's open period be another one, and the calls that wait for its bill go along.

    Lock the account against intake first.
    """
    session.execute(
        update(Call)
        .where(
            Call.account_id == account.id,
            Call.billable_at >= account.period_start,
            Call.billable_at != func.greatest(Call.ended_at, period.start),
        )
        .values(billable_at=func.greatest(Call.ended_at, period.start))
        .execution_options(synchronize_session=False)
    )
    account.period_start, account.period_end = period.start, period.end
    session.flush()

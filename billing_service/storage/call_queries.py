"""Reading calls and rejected call records as the API shows them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_, union
from sqlalchemy.orm import Session

from billing_service.domain import call as domain
from billing_service.storage.billed_calls import holder_of_call, holds_its_calls
from billing_service.storage.tables import (
    Bill,
    BillingPlan,
    Call,
    CallRecordReceipt,
    PhoneAccount,
    PlanVersion,
    RejectedCallRecord,
)

_ANSWERED_FOR_MONEY = Call.answered_at.is_not(None) & Call.emergency.is_(False)
# Every call is of one kind.
KINDS: Mapping[str, ColumnElement[bool]] = {
    "charged": _ANSWERED_FOR_MONEY & (Call.price > 0),
    "free": _ANSWERED_FOR_MONEY & (Call.price == 0),
    "unrated": _ANSWERED_FOR_MONEY & Call.price.is_(None),
    "emergency": Call.emergency.is_(True),
    "unanswered": Call.answered_at.is_(None) & Call.emergency.is_(False),
}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; `number` on either side, instants on `invited_at`, half-open.

    `account` and `bill` are the numbers of who pays and of the bill that a call is on; see `KINDS`.
    """

    number: str | None = None
    caller: str | None = None
    callee: str | None = None
    outcome: str | None = None
    kind: str | None = None
    account: str | None = None
    bill: str | None = None
    invited_from: datetime | None = None
    invited_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallView:
    """A call with the names of what it belongs to."""

    call: Call
    account: str | None
    plan_name: str | None
    bill: str | None

    @property
    def late(self) -> bool:
        """Whether it is on a later bill than that of the period in which it ended, or will be."""
        return self.call.billable_at is not None and self.call.ended_at < self.call.billable_at


def find_call(session: Session, record_id: str) -> CallView | None:
    """Return one call, or None."""
    row = session.execute(
        # The receipt knows when the call was, which is the first part of the calls' key.
        _calls()
        .join(
            CallRecordReceipt,
            (CallRecordReceipt.record_id == Call.record_id)
            & (CallRecordReceipt.invited_at == Call.invited_at),
        )
        .where(CallRecordReceipt.record_id == record_id)
    ).one_or_none()
    return None if row is None else CallView(*row)


def list_calls(
    session: Session, wanted: CallFilter, *, before: tuple[datetime, str] | None, limit: int
) -> Sequence[CallView]:
    """Return calls, newest first."""
    newest_first = (Call.invited_at.desc(), Call.record_id.desc())
    conditions = list(_conditions(wanted, before))
    query = _calls().order_by(*newest_first).limit(limit)
    if wanted.number is None:
        query = query.where(*conditions)
    else:
        # Either side has an index in this order; an OR of the two would sort all that the number ever had.
        sides = (
            select(Call.invited_at, Call.record_id)
            .where(side == wanted.number, *conditions)
            .order_by(*newest_first)
            .limit(limit)
            .subquery()
            for side in (Call.caller, Call.callee)
        )
        found = union(*(select(side) for side in sides)).subquery()
        query = query.join(
            found, (found.c.invited_at == Call.invited_at) & (found.c.record_id == Call.record_id)
        )
    return [CallView(*row) for row in session.execute(query)]


def _conditions(wanted: CallFilter, before: tuple[datetime, str] | None) -> Iterator[ColumnElement[bool]]:
    for column, value in (
        (Call.caller, wanted.caller),
        (Call.callee, wanted.callee),
        (Call.outcome, wanted.outcome),
    ):
        if value is not None:
            yield column == value
    if wanted.kind is not None:
        yield KINDS[wanted.kind]
    if wanted.account is not None:
        payer = select(PhoneAccount.id).where(PhoneAccount.number == wanted.account)
        # It is the caller who pays, and callers have an index.
        yield (Call.caller == wanted.account) & (Call.account_id == payer.scalar_subquery())
    if wanted.bill is not None:
        yield from _on_bill(wanted.bill)
    if wanted.invited_from is not None:
        yield Call.invited_at >= wanted.invited_from
    if wanted.invited_to is not None:
        yield Call.invited_at < wanted.invited_to
    if before is not None:
        yield tuple_(Call.invited_at, Call.record_id) < before


def _on_bill(number: str) -> Iterator[ColumnElement[bool]]:
    """Calls in the period of a bill, unless another bill has taken its place."""

    def of_bill(column: Any) -> Any:
        return select(column).where(Bill.number == number, holds_its_calls(Bill)).scalar_subquery()

    yield Call.account_id == of_bill(Bill.account_id)
    yield Call.billable_at >= of_bill(Bill.period_start)
    yield Call.billable_at < of_bill(Bill.period_end)


def to_domain(call: Call) -> domain.Call:
    """Return the facts of a stored call as the domain knows them."""
    return domain.Call(
        record_id=call.record_id,
        call_id=call.call_id,
        caller=call.caller,
        callee=call.callee,
        emergency=call.emergency,
        invited_at=call.invited_at,
        ringing_at=call.ringing_at,
        answered_at=call.answered_at,
        acknowledged_at=call.acknowledged_at,
        ended_at=call.ended_at,
        duration_us=call.duration_us,
        outcome=domain.Outcome(call.outcome),
        status=call.status,
        reason=call.reason,
        ended_by=domain.EndedBy(call.ended_by),
    )


def list_rejected(
    session: Session, *, state: str | None = None, before_id: int | None, limit: int
) -> Sequence[RejectedCallRecord]:
    """Return rejected call records and events, newest first."""
    query = select(RejectedCallRecord).order_by(RejectedCallRecord.id.desc()).limit(limit)
    if state is not None:
        query = query.where(RejectedCallRecord.state == state)
    if before_id is not None:
        query = query.where(RejectedCallRecord.id < before_id)
    return session.scalars(query).all()


def _calls() -> Select[Call, str | None, str | None, str | None]:
    return (
        select(Call, PhoneAccount.number, BillingPlan.name, Bill.number)
        .outerjoin(PhoneAccount, PhoneAccount.id == Call.account_id)
        .outerjoin(PlanVersion, PlanVersion.id == Call.plan_version_id)
        .outerjoin(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .outerjoin(Bill, Bill.id == holder_of_call())
    )

"""Reading calls and rejected call records as the API shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.orm import Session

from billing_service.domain import call as domain
from billing_service.storage.tables import (
    Bill,
    BillingPlan,
    Call,
    CallRecordReceipt,
    PhoneAccount,
    PlanVersion,
    RejectedCallRecord,
)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; `number` on either side, instants on `invited_at`, half-open."""

    number: str | None = None
    caller: str | None = None
    callee: str | None = None
    outcome: str | None = None
    invited_from: datetime | None = None
    invited_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallView:
    """A call with the names of what it belongs to."""

    call: Call
    account: str | None
    plan_name: str | None
    bill: str | None
    period_start: datetime | None
    """When the open period of its account began."""

    @property
    def late(self) -> bool:
        """Whether it is on a later bill than that of the period in which it ended, or will be."""
        call = self.call
        if call.bill_id is not None or call.price is None or call.emergency or self.period_start is None:
            return call.late
        return call.ended_at < self.period_start


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
    query = _calls().order_by(Call.invited_at.desc(), Call.record_id.desc()).limit(limit)
    for column, value in (
        (Call.caller, wanted.caller),
        (Call.callee, wanted.callee),
        (Call.outcome, wanted.outcome),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.number is not None:
        query = query.where(or_(Call.caller == wanted.number, Call.callee == wanted.number))
    if wanted.invited_from is not None:
        query = query.where(Call.invited_at >= wanted.invited_from)
    if wanted.invited_to is not None:
        query = query.where(Call.invited_at < wanted.invited_to)
    if before is not None:
        query = query.where(tuple_(Call.invited_at, Call.record_id) < before)
    return [CallView(*row) for row in session.execute(query)]


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


def _calls() -> Select[Call, str | None, str | None, str | None, datetime | None]:
    return (
        select(Call, PhoneAccount.number, BillingPlan.name, Bill.number, PhoneAccount.period_start)
        .outerjoin(PhoneAccount, PhoneAccount.id == Call.account_id)
        .outerjoin(PlanVersion, PlanVersion.id == Call.plan_version_id)
        .outerjoin(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .outerjoin(Bill, Bill.id == Call.bill_id)
    )

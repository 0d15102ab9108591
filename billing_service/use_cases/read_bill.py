"""Load a bill with all that is printed on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Currency, Money
from billing_service.domain.wall_clock import instant_of
from billing_service.errors import NotFound
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.tables import Bill, BillSettlement, LedgerEntry
from billing_service.use_cases.find_bills import find_bill
from billing_service.use_cases.open_bill import open_bill
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.readable_bill import (
    OverdueBill,
    PlanVersions,
    ReadableBill,
    Received,
    read_document,
)


def read_bill(
    session: Session, number: str, *, revision: int | None, today: date, plans: CompiledPlans
) -> ReadableBill:
    """A closed bill as people read it, with what was paid on it up to now and what is overdue today.

    Raises:
        NotFound: there is no such bill, or no such revision of it.
    """
    document = find_bill(session, number, revision=revision)
    if document is None:
        raise NotFound(f"There is no bill {number}." if revision is None else _no_revision(number, revision))
    bill = session.scalars(select(Bill).where(Bill.number == number)).one()
    current = document["state"] in ("closed", "paid")
    return read_document(
        document,
        plan_versions=_versions(session, plans),
        received=_received(session, bill) if current else (),
        is_overdue=document["state"] == "closed" and bill.due_on < today,
        other_overdue=_other_overdue(session, bill, today) if current else (),
    )


def read_open_bill(
    session: Session,
    number: str,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    plans: CompiledPlans,
) -> ReadableBill:
    """The bill of an account's open period so far, as people read it.

    Raises:
        NotFound: there is no such account.
    """
    document = open_bill(session, number, as_of=as_of, currency=currency, zone=zone, compiled_plans=plans)
    return read_document(document, plan_versions=_versions(session, plans))


def _versions(session: Session, plans: CompiledPlans) -> PlanVersions:
    def plan_version(version_id: int) -> CompiledPlan:
        return plans.get(version_id, lambda wanted: load_terms(session, wanted))

    return plan_version


def _no_revision(number: str, revision: int) -> str:
    return f"There is no bill {number} with a revision {revision}."


def _received(session: Session, bill: Bill) -> Sequence[Received]:
    """What each payment and credit pays of the bill, in their order."""
    amount = func.sum(BillSettlement.amount)
    rows = session.execute(
        select(LedgerEntry.kind, LedgerEntry.occurred_at, amount)
        .join(BillSettlement, BillSettlement.ledger_entry_id == LedgerEntry.id)
        .where(BillSettlement.bill_id == bill.id)
        .group_by(LedgerEntry.id)
        .having(amount != 0)
        .order_by(LedgerEntry.id)
    )
    return [Received(kind, at, Money.from_decimal(paid)) for kind, at, paid in rows]


def _other_overdue(session: Session, bill: Bill, today: date) -> Sequence[OverdueBill]:
    paid = func.coalesce(func.sum(BillSettlement.amount), 0)
    rows = session.execute(
        select(Bill.number, Bill.due_on, Bill.total - paid)
        .outerjoin(BillSettlement, BillSettlement.bill_id == Bill.id)
        .where(
            Bill.account_id == bill.account_id,
            Bill.state == "closed",
            Bill.due_on < today,
            Bill.id != bill.id,
        )
        .group_by(Bill.id)
        .order_by(Bill.due_on, Bill.id)
    )
    return [OverdueBill(number, due_on, Money.from_decimal(due)) for number, due_on, due in rows]


def bills_closed_on(session: Session, day: date, *, zone: tzinfo) -> Sequence[str]:
    """The numbers of the bills closed on a local day that are not void, in their order."""
    start, end = (instant_of(datetime.combine(one, time()), zone) for one in (day, day + timedelta(days=1)))
    return session.scalars(
        select(Bill.number)
        .where(Bill.closed_at >= start, Bill.closed_at < end, Bill.state != "void")
        .order_by(Bill.closed_at, Bill.id)
    ).all()

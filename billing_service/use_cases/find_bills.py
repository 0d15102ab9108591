"""Read closed bills: one by its number, or many, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from billing_service.domain.money import Currency, Money
from billing_service.storage.tables import Bill, BillRevision, BillSettlement, PhoneAccount
from billing_service.use_cases.bill_document import ONLY_IN_FULL, BillDocument, present


@dataclass(frozen=True, slots=True)
class BillQuery:
    """Which bills to find; None asks for nothing. `account` is a phone number."""

    account: str | None = None
    customer_id: int | None = None
    state: str | None = None
    unpaid: bool | None = None


@dataclass(frozen=True, slots=True)
class FoundBill:
    """A bill as the API shows it, with its place in the list."""

    closed_at: datetime
    bill_id: int
    document: BillDocument


def find_bill(session: Session, number: str) -> BillDocument | None:
    """The bill of a number in full, at its latest revision; None when there is none."""
    row = session.execute(_bills(BillRevision.document.expression).where(Bill.number == number)).first()
    return None if row is None else _present(*row).document


def list_bills(
    session: Session, wanted: BillQuery, *, before: tuple[datetime, int] | None, limit: int
) -> Sequence[FoundBill]:
    """Bills without their lines and calls, newest first."""
    heading: ColumnElement[Any] = BillRevision.document.expression
    for name in ONLY_IN_FULL:
        heading = heading.op("-", return_type=JSONB())(name)
    query = _bills(heading).order_by(Bill.closed_at.desc(), Bill.id.desc()).limit(limit)
    if wanted.account is not None:
        query = query.where(PhoneAccount.number == wanted.account)
    if wanted.customer_id is not None:
        query = query.where(Bill.customer_id == wanted.customer_id)
    if wanted.state is not None:
        query = query.where(Bill.state == wanted.state)
    if wanted.unpaid is not None:
        query = query.where((Bill.state == "closed") if wanted.unpaid else (Bill.state != "closed"))
    if before is not None:
        query = query.where(tuple_(Bill.closed_at, Bill.id) < before)
    return [_present(*row) for row in session.execute(query)]


def _bills(document: ColumnElement[Any]) -> Select[Bill, Any, Any]:
    paid = (
        select(func.coalesce(func.sum(BillSettlement.amount), 0))
        .where(BillSettlement.bill_id == Bill.id)
        .scalar_subquery()
    )
    return (
        select(Bill, document, paid)
        .join(PhoneAccount, PhoneAccount.id == Bill.account_id)
        .join(BillRevision, and_(BillRevision.bill_id == Bill.id, BillRevision.revision == Bill.revision))
    )


def _present(bill: Bill, frozen: Mapping[str, Any], paid: Any) -> FoundBill:
    document = present(
        frozen,
        state=bill.state,
        total=Money.from_decimal(bill.total),
        paid=Money.from_decimal(paid),
        currency=Currency.of(bill.currency),
    )
    return FoundBill(bill.closed_at, bill.id, document)

"""Read closed bills: one by its number, at its latest or an earlier revision, or many, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, and_, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement

from billing_service.domain.money import Currency, Money
from billing_service.storage.billed_calls import listed_calls
from billing_service.storage.tables import Bill, BillRevision, BillSettlement, PhoneAccount
from billing_service.use_cases.bill_document import CALLS, ONLY_IN_FULL, BillDocument, BillStanding, present

SUPERSEDED = "superseded"
"""The state of a bill's earlier revisions: nothing is due on them."""
_Replaced, _Replacement = aliased(Bill), aliased(Bill)


@dataclass(frozen=True, slots=True)
class BillQuery:
    """Which bills to find; None asks for nothing. `account` is a phone number.

    `overdue_on` asks for bills that are not paid and were due before that day; `not_overdue_on` for others.
    """

    account: str | None = None
    customer_id: int | None = None
    state: str | None = None
    unpaid: bool | None = None
    overdue_on: date | None = None
    not_overdue_on: date | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The query as conditions on `Bill` and `PhoneAccount`."""
        if self.account is not None:
            yield PhoneAccount.number == self.account
        if self.customer_id is not None:
            yield Bill.customer_id == self.customer_id
        if self.state is not None:
            yield Bill.state == self.state
        if self.unpaid is not None:
            yield (Bill.state == "closed") if self.unpaid else (Bill.state != "closed")
        if self.overdue_on is not None:
            yield and_(Bill.state == "closed", Bill.due_on < self.overdue_on)
        if self.not_overdue_on is not None:
            yield ~and_(Bill.state == "closed", Bill.due_on < self.not_overdue_on)


@dataclass(frozen=True, slots=True)
class FoundBill:
    """A bill as the API shows it, with its place in the list."""

    closed_at: datetime
    bill_id: int
    document: BillDocument


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a bill: when and why it was made, and what it came to."""

    revision: int
    created_at: datetime
    reason: str
    total: str


def find_bill(session: Session, number: str, *, revision: int | None = None) -> BillDocument | None:
    """The bill of a number in full, at its latest revision unless told; None when there is none."""
    query = _bills(BillRevision.document.expression, revision=revision).where(Bill.number == number)
    row = session.execute(query.add_columns(listed_calls())).first()
    if row is None:
        return None
    *bill, calls = row
    return {**_present(*bill).document, CALLS: calls}


def list_bills(
    session: Session, wanted: BillQuery, *, before: tuple[datetime, int] | None, limit: int
) -> Sequence[FoundBill]:
    """Bills without their lines and calls, newest first."""
    heading: ColumnElement[Any] = BillRevision.document.expression
    for name in ONLY_IN_FULL:
        heading = heading.op("-", return_type=JSONB())(name)
    query = _bills(heading).order_by(Bill.closed_at.desc(), Bill.id.desc()).limit(limit)
    query = query.where(*wanted.conditions())
    if before is not None:
        query = query.where(tuple_(Bill.closed_at, Bill.id) < before)
    return [_present(*row) for row in session.execute(query)]


def list_revisions(session: Session, number: str) -> Sequence[Revision]:
    """A bill's revisions, the first one first; none when there is no such bill."""
    rows = session.execute(
        select(
            BillRevision.revision,
            BillRevision.created_at,
            BillRevision.reason,
            BillRevision.document.expression["total"].astext,
        )
        .join(Bill, Bill.id == BillRevision.bill_id)
        .where(Bill.number == number)
        .order_by(BillRevision.revision)
    )
    return [Revision(*row) for row in rows]


def _bills(document: ColumnElement[Any], *, revision: int | None = None) -> Select[*tuple[Any, ...]]:
    paid = (
        select(func.coalesce(func.sum(BillSettlement.amount), 0))
        .where(BillSettlement.bill_id == Bill.id)
        .scalar_subquery()
    )
    wanted = Bill.revision if revision is None else revision
    return (
        select(
            Bill,
            document,
            BillRevision.revision,
            BillRevision.reason,
            paid,
            _Replaced.number,
            _Replacement.number,
        )
        .join(PhoneAccount, PhoneAccount.id == Bill.account_id)
        .join(BillRevision, and_(BillRevision.bill_id == Bill.id, BillRevision.revision == wanted))
        .outerjoin(_Replaced, _Replaced.id == Bill.replaces_id)
        .outerjoin(_Replacement, _Replacement.replaces_id == Bill.id)
    )


def _present(
    bill: Bill,
    frozen: Mapping[str, Any],
    revision: int,
    reason: str,
    paid: Any,
    replaces: str | None,
    replaced_by: str | None,
) -> FoundBill:
    latest = revision == bill.revision
    standing = BillStanding(
        state=bill.state if latest else SUPERSEDED,
        total=Money.from_decimal(bill.total),
        paid=Money.from_decimal(paid),
        voided_at=bill.voided_at,
        void_reason=bill.void_reason,
        replaces=replaces,
        replaced_by=replaced_by,
        revision_reason=reason,
    )
    return FoundBill(bill.closed_at, bill.id, present(frozen, standing, Currency.of(bill.currency)))

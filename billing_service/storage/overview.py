"""The counts on the front page."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.storage.billed_calls import waits_for_a_bill
from billing_service.storage.tables import Bill, Call, Customer, PhoneAccount, RejectedCallRecord


@dataclass(frozen=True, slots=True)
class Overview:
    """How much there is of everything. `open_total` is the price of the calls that are on no bill yet."""

    customers: int
    accounts: dict[str, int]
    calls_today: int
    charged_today: Decimal
    open_total: Decimal
    unpaid_bills: int
    rejected_records: int


def read_overview(session: Session, *, today_from: datetime) -> Overview:
    """Count everything; `today_from` is the local midnight with which today began."""
    states = dict(
        session.execute(select(PhoneAccount.state, func.count()).group_by(PhoneAccount.state)).all()
    )
    calls_today, charged_today = session.execute(
        select(func.count(), func.sum(Call.price)).where(Call.invited_at >= today_from)
    ).one()
    open_total = session.scalars(select(func.sum(Call.price)).join(PhoneAccount, waits_for_a_bill())).one()
    unpaid = select(func.count()).select_from(Bill).where(Bill.state == "closed")
    rejected = (
        select(func.count()).select_from(RejectedCallRecord).where(RejectedCallRecord.state == "pending")
    )
    return Overview(
        customers=session.scalars(select(func.count()).select_from(Customer)).one(),
        accounts={state: states.get(state, 0) for state in ("active", "suspended", "closed")},
        calls_today=calls_today,
        charged_today=charged_today or Decimal(0),
        open_total=open_total or Decimal(0),
        unpaid_bills=session.scalars(unpaid).one(),
        rejected_records=session.scalars(rejected).one(),
    )

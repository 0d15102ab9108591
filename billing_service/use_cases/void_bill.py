"""Void a bill: nothing of it is owed any more.

Its calls stay on it: were they free again, the next closing would put them on the account's next bill,
without the fee of their period. Closing the void bill again (`reclose_bill`) makes the bill that replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_service.domain.events import EventKind
from billing_service.domain.money import ZERO, Money
from billing_service.errors import Conflict
from billing_service.storage.audit import record_change
from billing_service.storage.billed_calls import keep_call_list
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import Bill
from billing_service.use_cases.correct_bill import charge_difference, lock_bill, release_beyond
from billing_service.use_cases.follow_dunning import reactivate_if_paid
from billing_service.use_cases.settle_bills import settle_bills


@dataclass(frozen=True, slots=True)
class VoidedBill:
    """What voiding did: the other bills that its money has paid in full, and whether the phone is active."""

    number: str
    settled: tuple[str, ...]
    reactivated: bool


def void_bill(session: Session, number: str, *, reason: str, at: datetime, actor: str) -> VoidedBill:
    """Void a closed or paid bill. What was paid on it pays other bills, or is credit.

    Raises:
        NotFound: there is no such bill.
        Conflict: it is void already.
    """
    bill, account = lock_bill(session, number)
    if bill.state == "void":
        raise Conflict(f"The bill {number} is void already.")
    was = bill.state
    keep_call_list(session, bill)
    back = f"Bill {number} void: {reason}"
    charge_difference(session, bill, -Money.from_decimal(bill.total), reason=back, at=at, actor=actor)
    release_beyond(session, bill, ZERO, at=at)
    bill.state, bill.voided_at, bill.void_reason = "void", at, reason
    session.flush()
    publish_bills(session, EventKind.BILL_VOIDED, Bill.id == bill.id, at=at)
    settled = settle_bills(session, account.id, at=at)
    owed_no_more = len(settled) + (was == "closed")
    reactivated = reactivate_if_paid(session, account, paid_in_full=owed_no_more, at=at, actor=actor)
    record_change(
        session,
        actor=actor,
        action="void",
        subject_kind="bill",
        subject=number,
        before={"state": was},
        after={"state": "void", "reason": reason},
    )
    return VoidedBill(number, tuple(paid.number for paid in settled), reactivated)

"""Close a billing period again: the bill is made once more from what is stored now.

Calls of the period that have arrived since go on it, and whatever was put right (the customer's address, a
tax exemption, a state of the account) shows. A bill whose document stays the same gets no new revision. Else
the document is replaced, the earlier ones stay readable, and the ledger gets the difference. A void bill
stays void: closing it again makes a bill with a number of its own, which replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents
from billing_service.domain.events import EventKind
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import Period
from billing_service.errors import Conflict
from billing_service.storage.audit import record_change
from billing_service.storage.billed_calls import keep_call_list
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import Bill, BillRevision, Call, Customer, PhoneAccount
from billing_service.use_cases.account_bill import load_facts_again
from billing_service.use_cases.bill_document import BillHeading, freeze, without_calls
from billing_service.use_cases.bill_heading import head_bill, read_letterhead
from billing_service.use_cases.close_periods import next_bill_number
from billing_service.use_cases.correct_bill import charge_difference, lock_bill, release_beyond
from billing_service.use_cases.follow_dunning import reactivate_if_paid, suspend_if_unpaid
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.settle_bills import dunning_limits, settle_bills


@dataclass(frozen=True, slots=True)
class Correction:
    """Why a bill is closed again, when, and by whom."""

    reason: str
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class RecloseResult:
    """The bill as it is now: another one when a void bill was replaced. Unchanged: no new revision."""

    number: str
    revision: int
    changed: bool
    settled: tuple[str, ...] = ()
    suspended: bool = False
    reactivated: bool = False


def reclose_bill(
    session: Session, number: str, why: Correction, *, compiled_plans: CompiledPlans
) -> RecloseResult:
    """Close a bill's period again.

    Raises:
        NotFound: there is no such bill.
        Conflict: the bill is void and has been replaced already.
    """
    bill, account = lock_bill(session, number)
    frozen = _document(session, bill)
    zone = ZoneInfo(frozen["timezone"])
    contents = _recompute(session, bill, account, frozen, with_waiting=True, compiled_plans=compiled_plans)
    heading = head_bill(
        account,
        session.get_one(Customer, account.customer_id),
        read_letterhead(session),
        number=bill.number,
        revision=bill.revision + 1,
        closed_at=bill.closed_at,
        due_on=bill.due_on,
        zone=zone,
    )
    if bill.state == "void":
        return _replace(session, bill, account, contents, heading, why)
    document = freeze(heading, contents, Currency.of(bill.currency))
    if {**document, "revision": bill.revision} == without_calls(frozen):
        return RecloseResult(number, bill.revision, changed=False)
    return _revise(session, bill, account, contents, document, why)


def recompute_bill(
    session: Session, bill: Bill, account: PhoneAccount, *, compiled_plans: CompiledPlans
) -> BillContents:
    """A closed bill computed once more from what is stored, with no other calls than its own."""
    return _recompute(
        session,
        bill,
        account,
        _document(session, bill),
        with_waiting=False,
        compiled_plans=compiled_plans,
    )


def _document(session: Session, bill: Bill) -> dict[str, Any]:
    return session.get_one(BillRevision, (bill.id, bill.revision)).document


def _recompute(
    session: Session,
    bill: Bill,
    account: PhoneAccount,
    frozen: dict[str, Any],
    *,
    with_waiting: bool,
    compiled_plans: CompiledPlans,
) -> BillContents:
    start, end = (datetime.fromisoformat(frozen["whole_period"][name]) for name in ("start", "end"))
    facts = load_facts_again(
        session,
        account,
        bill,
        whole=Period(start, end),
        with_waiting=with_waiting,
        compiled_plans=compiled_plans,
    )
    return facts.build(currency=Currency.of(bill.currency), zone=ZoneInfo(frozen["timezone"]))


def _revise(
    session: Session,
    bill: Bill,
    account: PhoneAccount,
    contents: BillContents,
    document: dict[str, Any],
    why: Correction,
) -> RecloseResult:
    before, was = Money.from_decimal(bill.total), bill.state
    keep_call_list(session, bill)
    _take_calls(session, bill, account, contents)
    bill.revision += 1
    bill.customer_id = account.customer_id
    bill.total = contents.total.to_decimal()
    session.add(BillRevision(bill_id=bill.id, revision=bill.revision, document=document, reason=why.reason))
    _charge(session, bill, contents.total - before, why)
    paid = release_beyond(session, bill, contents.total, at=why.at)
    bill.state = "paid" if was == "paid" and paid == contents.total else "closed"
    session.flush()
    publish_bills(session, EventKind.BILL_REVISED, Bill.id == bill.id, at=why.at)
    result = _settle(session, bill, account, why)
    record_change(
        session,
        actor=why.actor,
        action="re-close",
        subject_kind="bill",
        subject=bill.number,
        before={"revision": bill.revision - 1, "total": before.format_precise()},
        after={
            "revision": bill.revision,
            "total": contents.total.format_precise(),
            "reason": why.reason,
        },
    )
    return result


def _replace(
    session: Session,
    void: Bill,
    account: PhoneAccount,
    contents: BillContents,
    heading: BillHeading,
    why: Correction,
) -> RecloseResult:
    _refuse_second(session, void)
    closed_on = why.at.astimezone(ZoneInfo(heading.timezone)).date()
    due_on = closed_on + timedelta(days=dunning_limits(session).payment_term_days)
    heading = replace(
        heading,
        number=next_bill_number(session, closed_on),
        revision=1,
        closed_at=why.at,
        due_on=due_on,
    )
    bill = Bill(
        number=heading.number,
        account_id=account.id,
        customer_id=account.customer_id,
        period_start=void.period_start,
        period_end=void.period_end,
        state="closed",
        revision=1,
        currency=void.currency,
        total=contents.total.to_decimal(),
        due_on=due_on,
        closed_at=why.at,
        replaces_id=void.id,
    )
    session.add(bill)
    session.flush()
    document = freeze(heading, contents, Currency.of(void.currency))
    session.add(BillRevision(bill_id=bill.id, revision=1, document=document, reason=why.reason))
    _take_calls(session, bill, account, contents)
    _charge(session, bill, contents.total, why)
    publish_bills(session, EventKind.BILL_CLOSED, Bill.id == bill.id)
    result = _settle(session, bill, account, why)
    record_change(
        session,
        actor=why.actor,
        action="replace",
        subject_kind="bill",
        subject=void.number,
        changes={"by": bill.number, "total": contents.total.format_precise(), "reason": why.reason},
    )
    return result


def _refuse_second(session: Session, void: Bill) -> None:
    other = session.scalar(
        select(Bill.number).where(
            Bill.account_id == void.account_id,
            Bill.period_start == void.period_start,
            Bill.state != "void",
        )
    ) or session.scalar(select(Bill.number).where(Bill.replaces_id == void.id))
    if other is not None:
        raise Conflict(f"The void bill {void.number} has been replaced by {other}.")


def _charge(session: Session, bill: Bill, difference: Money, why: Correction) -> None:
    charge_difference(
        session, bill, difference, reason=f"Bill {bill.number}: {why.reason}", at=why.at, actor=why.actor
    )


def _take_calls(session: Session, bill: Bill, account: PhoneAccount, contents: BillContents) -> None:
    """Let the calls of the bill that have waited for the next one be in its period."""
    session.execute(
        update(Call)
        .where(
            Call.account_id == bill.account_id,
            Call.billable_at >= account.period_start,
            Call.record_id.in_([call.record_id for call in contents.calls]),
        )
        .values(billable_at=func.greatest(Call.ended_at, bill.period_start))
        .execution_options(synchronize_session=False)
    )


def _settle(session: Session, bill: Bill, account: PhoneAccount, why: Correction) -> RecloseResult:
    settled = tuple(paid.number for paid in settle_bills(session, account.id, at=why.at))
    reactivated = reactivate_if_paid(session, account, paid_in_full=len(settled), at=why.at, actor=why.actor)
    suspended = suspend_if_unpaid(session, account, at=why.at, actor=why.actor)
    return RecloseResult(
        bill.number,
        bill.revision,
        changed=True,
        settled=settled,
        suspended=suspended,
        reactivated=reactivated,
    )

"""Give a number of the built-in customer Unassigned to whom it belongs."""

from __future__ import annotations

from datetime import datetime, tzinfo

from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.period import BillingCalendar
from billing_service.errors import Conflict, NotFound
from billing_service.storage.account_history import lock_account
from billing_service.storage.audit import record_change
from billing_service.storage.billed_calls import move_open_period
from billing_service.storage.tables import Customer
from billing_service.use_cases.edit_account import change_plan


def assign_number(
    session: Session,
    number: str,
    *,
    customer_id: int,
    plan_id: int | None,
    zone: tzinfo,
    at: datetime,
    actor: str,
) -> None:
    """Make a number of Unassigned a customer's account like any other, from now on a plan if one is given.

    It is billed by the daily closing from the present month on; its calls of months before that were never
    closed are on its next bill, as late calls.

    Raises:
        NotFound: there is no such account.
        Conflict: it belongs to a customer already, is closed, or the plan takes no accounts.
        InvalidFields: there is no such customer or plan.
    """
    account = lock_account(session, number, against_intake=True)
    if account is None:
        raise NotFound(f"There is no phone account {number}.")
    if not account.closes_on_request:
        raise Conflict(f"The account {number} belongs to a customer already.")
    customer = session.get(Customer, customer_id)
    if customer is None or customer.built_in is not None:
        raise InvalidFields.one("customer_id", f"there is no customer {customer_id} to give a number to")
    month = BillingCalendar(zone, account.billing_day).period_containing(at)
    if account.period_end is not None and account.period_start < month.start:
        move_open_period(session, account, month)
    before = {"customer_id": account.customer_id, "display_name": account.display_name}
    account.customer_id, account.display_name = customer.id, customer.name
    account.closes_on_request = False
    record_change(
        session,
        actor=actor,
        action="assign",
        subject_kind="account",
        subject=number,
        before=before,
        after={"customer_id": customer.id, "display_name": customer.name},
    )
    session.flush()
    if plan_id is not None:
        change_plan(session, number, plan_id=plan_id, at=at, actor=actor, now=at)

"""The open bill of an account: as it would be closed now."""

from __future__ import annotations

from datetime import datetime, tzinfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.money import Currency
from billing_service.errors import NotFound
from billing_service.storage.tables import Customer, PhoneAccount
from billing_service.use_cases.account_bill import assemble_bill
from billing_service.use_cases.bill_document import (
    CALLS,
    BillDocument,
    BillStanding,
    freeze,
    list_calls,
    present,
)
from billing_service.use_cases.bill_heading import head_bill, read_letterhead
from billing_service.use_cases.rate_call import CompiledPlans


def open_bill(
    session: Session,
    number: str,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    compiled_plans: CompiledPlans | None = None,
) -> BillDocument:
    """The bill of the account's open period: the fee up to `as_of`, and the calls that have arrived.

    Raises:
        NotFound: there is no such account.
    """
    account = session.scalar(select(PhoneAccount).where(PhoneAccount.number == number))
    if account is None:
        raise NotFound(f"there is no phone account {number}")
    customer = session.get_one(Customer, account.customer_id)
    heading = head_bill(
        account, customer, read_letterhead(session), number=None, closed_at=None, due_on=None, zone=zone
    )
    contents = assemble_bill(
        session, account, as_of=as_of, currency=currency, zone=zone, compiled_plans=compiled_plans
    )
    standing = BillStanding("open", contents.total)
    document = {**freeze(heading, contents, currency), CALLS: list_calls(contents, currency)}
    return present(document, standing, currency)

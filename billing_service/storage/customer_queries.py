"""Reading customers as the API shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from billing_service.storage.tables import Customer, PhoneAccount
from billing_service.storage.text_search import contains


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer and how many phone accounts he has."""

    customer: Customer
    account_count: int


def find_customer(session: Session, customer_id: int) -> CustomerView | None:
    """Return one customer, or None."""
    row = session.execute(_customers().where(Customer.id == customer_id)).one_or_none()
    return None if row is None else CustomerView(row[0], row[1])


def list_customers(
    session: Session, *, text: str | None, before_id: int | None, limit: int
) -> Sequence[CustomerView]:
    """Return customers, newest first, whose name, e-mail, address or any number contains the text."""
    query = _customers().order_by(Customer.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Customer.id < before_id)
    if text:
        has_number = (
            select(PhoneAccount.id)
            .where(PhoneAccount.customer_id == Customer.id, contains(PhoneAccount.number, text))
            .exists()
        )
        query = query.where(
            or_(
                contains(Customer.name, text),
                contains(Customer.email, text),
                contains(Customer.alternative_number, text),
                has_number,
            )
        )
    return [CustomerView(customer, count) for customer, count in session.execute(query)]


def _customers() -> Select[Customer, int]:
    count = (
        select(func.count())
        .select_from(PhoneAccount)
        .where(PhoneAccount.customer_id == Customer.id)
        .scalar_subquery()
    )
    return select(Customer, count)

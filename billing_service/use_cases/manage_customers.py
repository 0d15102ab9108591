"""Create and edit customers."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_service.errors import NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import Customer

EDITABLE = frozenset({"name", "email", "address", "alternative_number", "locale", "tax_exempt"})


def create_customer(
    session: Session,
    *,
    name: str,
    email: str | None = None,
    address: str | None = None,
    alternative_number: str | None = None,
    locale: str | None = None,
    tax_exempt: bool = False,
    actor: str,
    at: datetime,
) -> Customer:
    """Add a customer."""
    fields = {
        "name": name,
        "email": email,
        "address": address,
        "alternative_number": alternative_number,
        "locale": locale,
        "tax_exempt": tax_exempt,
    }
    customer = Customer(**fields, created_at=at)
    session.add(customer)
    session.flush()
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="customer",
        subject=customer.id,
        after=fields,
    )
    return customer


def edit_customer(
    session: Session,
    customer_id: int,
    changes: Mapping[str, Any],
    *,
    actor: str,
    expected: Collection[str] | None = None,
) -> Customer:
    """Change some of a customer's fields.

    Raises NotFound, and Stale when the row's version is none of those expected.
    """
    assert changes.keys() <= EDITABLE
    customer = session.get(Customer, customer_id, with_for_update=True)
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    require_unchanged(customer.row_version, expected)
    before = {field: getattr(customer, field) for field in changes}
    for field, value in changes.items():
        setattr(customer, field, value)
    record_change(
        session,
        actor=actor,
        action="edit",
        subject_kind="customer",
        subject=customer_id,
        before=before,
        after=changes,
    )
    return customer

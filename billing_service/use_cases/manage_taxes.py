"""Add tax rates and end them. What a rate is never changes: another rate is another one, from another day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.tax import Taxable
from billing_service.domain.tax import TaxRate as DomainTaxRate
from billing_service.errors import NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.tables import TaxRate


def list_taxes(session: Session) -> Sequence[TaxRate]:
    """All tax rates, whenever in force, by name and first day."""
    return session.scalars(select(TaxRate).order_by(TaxRate.name, TaxRate.valid_from, TaxRate.id)).all()


def add_tax(session: Session, rate: DomainTaxRate, *, actor: str) -> TaxRate:
    """Add a tax rate. Bills that are closed already stay as they are."""
    row = TaxRate(
        name=rate.name,
        percent=rate.percent,
        on_fees=Taxable.FEE in rate.on,
        on_calls=Taxable.CALLS in rate.on,
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
    )
    session.add(row)
    session.flush()
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="tax",
        subject=row.id,
        changes={
            "name": rate.name,
            "percent": rate.show_percent(),
            "on": sorted(kind.value for kind in rate.on),
            "valid_from": rate.valid_from.isoformat(),
            "valid_to": None if rate.valid_to is None else rate.valid_to.isoformat(),
        },
    )
    return row


def end_tax(session: Session, tax_id: int, valid_to: date | None, *, actor: str) -> TaxRate:
    """Let a tax rate end before a day, or not at all.

    Raises:
        NotFound: there is no such tax rate.
        InvalidFields: it would end before it begins.
    """
    row = session.get(TaxRate, tax_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no tax rate {tax_id}.")
    if valid_to is not None and valid_to <= row.valid_from:
        raise InvalidFields.one("valid_to", "a tax is in force for a day at least")
    before, row.valid_to = row.valid_to, valid_to
    session.flush()
    record_change(
        session,
        actor=actor,
        action="edit",
        subject_kind="tax",
        subject=tax_id,
        before={"valid_to": None if before is None else before.isoformat()},
        after={"valid_to": None if valid_to is None else valid_to.isoformat()},
    )
    return row

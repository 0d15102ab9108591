"""The head of a bill: who bills whom. What it says is frozen with the bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.tax import Taxable
from billing_service.domain.tax import TaxRate as DomainTaxRate
from billing_service.storage.closing_rows import BilledCustomer, DueAccount
from billing_service.storage.tables import Customer, PhoneAccount, SystemSettings, TaxRate
from billing_service.use_cases.bill_document import BillHeading, Company


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all bills of the installation have in common; a customer's own locale goes before this one."""

    company: Company
    locale: str


def read_letterhead(session: Session) -> Letterhead:
    """The letterhead that the administrators have set."""
    settings = session.scalars(select(SystemSettings)).one()
    company = Company(
        settings.company_name,
        settings.company_address,
        settings.company_tax_number,
        settings.payment_instructions,
    )
    return Letterhead(company, settings.locale)


def head_bill(
    account: PhoneAccount | DueAccount,
    customer: Customer | BilledCustomer,
    letterhead: Letterhead,
    *,
    number: str | None,
    revision: int = 1,
    closed_at: datetime | None,
    due_on: date | None,
    zone: tzinfo,
) -> BillHeading:
    """The head of an account's bill."""
    return BillHeading(
        number=number,
        revision=revision,
        account=account.number,
        customer_id=customer.id,
        customer_name=customer.name,
        customer_address=customer.address,
        customer_email=customer.email,
        timezone=str(zone),
        closed_at=closed_at,
        due_on=due_on,
        company=letterhead.company,
        locale=customer.locale or letterhead.locale,
    )


def read_tax_rates(session: Session) -> Sequence[DomainTaxRate]:
    """All tax rates there are, whenever in force."""
    return [to_domain(rate) for rate in session.scalars(select(TaxRate).order_by(TaxRate.id))]


def to_domain(rate: TaxRate) -> DomainTaxRate:
    """A stored tax rate as the domain knows it."""
    on = {Taxable.FEE: rate.on_fees, Taxable.CALLS: rate.on_calls}
    return DomainTaxRate(
        rate.name,
        rate.percent,
        frozenset(kind for kind, wanted in on.items() if wanted),
        rate.valid_from,
        rate.valid_to,
    )

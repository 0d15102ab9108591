"""The ledger as its owner reads it: entries, balances, and statements that carry the balance along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import ZERO, Money
from billing_service.domain.wall_clock import instant_of
from billing_service.errors import NotFound
from billing_service.storage.tables import Bill, Customer, LedgerEntry, PhoneAccount

MOST_ENTRIES: Final = 5_000
"""A statement is one document; who wants more asks for a shorter time."""


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which ledger entries to find; None asks for nothing. Instants on `occurred_at`, half-open."""

    account: str | None = None
    customer_id: int | None = None
    kind: str | None = None
    bill: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The query as conditions on `LedgerEntry`, `PhoneAccount` and `Bill`."""
        if self.account is not None:
            yield PhoneAccount.number == self.account
        if self.customer_id is not None:
            yield PhoneAccount.customer_id == self.customer_id
        if self.kind is not None:
            yield LedgerEntry.kind == self.kind
        if self.bill is not None:
            yield Bill.number == self.bill
        if self.since is not None:
            yield LedgerEntry.occurred_at >= self.since
        if self.until is not None:
            yield LedgerEntry.occurred_at < self.until


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger entry with the numbers of what it belongs to."""

    entry_id: int
    account: str
    kind: str
    amount: Money
    bill: str | None
    reason: str
    actor: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class BalancedEntry:
    """An entry and the balance after it."""

    entry: Entry
    balance: Money


@dataclass(frozen=True, slots=True)
class Statement:
    """The entries from the first day to the last one, both included, between two balances."""

    first_day: date
    last_day: date
    opening_balance: Money
    entries: tuple[BalancedEntry, ...]

    @property
    def closing_balance(self) -> Money:
        """The balance after the last entry."""
        return self.entries[-1].balance if self.entries else self.opening_balance


def list_entries(
    session: Session, wanted: EntryQuery, *, before_id: int | None, limit: int
) -> Sequence[Entry]:
    """Ledger entries, the last written first."""
    query = _entries().where(*wanted.conditions()).order_by(LedgerEntry.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(LedgerEntry.id < before_id)
    return [_entry(*row) for row in session.execute(query)]


def account_statement(
    session: Session, number: str, *, first_day: date | None, last_day: date, zone: tzinfo
) -> Statement:
    """The statement of a phone account; without a first day, from its opening.

    Raises:
        NotFound: there is no such account.
        InvalidFields: the days are in the wrong order, or have too many entries.
    """
    opened_at = session.scalar(select(PhoneAccount.opened_at).where(PhoneAccount.number == number))
    if opened_at is None:
        raise NotFound(f"There is no phone account {number}.")
    first = first_day or min(opened_at.astimezone(zone).date(), last_day)
    return _statement(session, EntryQuery(account=number), first, last_day, zone)


def customer_statement(
    session: Session, customer_id: int, *, first_day: date | None, last_day: date, zone: tzinfo
) -> Statement:
    """The statement of all accounts of a customer together; otherwise as that of an account.

    Raises:
        NotFound: there is no such customer.
        InvalidFields: the days are in the wrong order, or have too many entries.
    """
    created_at = session.scalar(select(Customer.created_at).where(Customer.id == customer_id))
    if created_at is None:
        raise NotFound(f"There is no customer {customer_id}.")
    opened_at = session.scalar(
        select(func.min(PhoneAccount.opened_at)).where(PhoneAccount.customer_id == customer_id)
    )
    begin = min(opened_at or created_at, created_at)
    first = first_day or min(begin.astimezone(zone).date(), last_day)
    return _statement(session, EntryQuery(customer_id=customer_id), first, last_day, zone)


def _statement(session: Session, whose: EntryQuery, first: date, last: date, zone: tzinfo) -> Statement:
    if last < first:
        raise InvalidFields.one("to", "the last day is not before the first")
    since, until = _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    balance = Money.from_decimal(
        session.scalar(
            select(func.coalesce(func.sum(LedgerEntry.amount), 0))
            .join(PhoneAccount, PhoneAccount.id == LedgerEntry.account_id)
            .where(*whose.conditions(), LedgerEntry.occurred_at < since)
        )
        or ZERO.to_decimal()
    )
    rows = session.execute(
        _entries()
        .where(*whose.conditions(), LedgerEntry.occurred_at >= since, LedgerEntry.occurred_at < until)
        .order_by(LedgerEntry.occurred_at, LedgerEntry.id)
        .limit(MOST_ENTRIES + 1)
    ).all()
    if len(rows) > MOST_ENTRIES:
        raise InvalidFields.one("from", f"more than {MOST_ENTRIES} entries; ask for a shorter time")
    opening, entries = balance, []
    for row in rows:
        entry = _entry(*row)
        balance += entry.amount
        entries.append(BalancedEntry(entry, balance))
    return Statement(first, last, opening, tuple(entries))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return instant_of(datetime.combine(day, time()), zone)


def _entries() -> Select[LedgerEntry, str, str | None]:
    return (
        select(LedgerEntry, PhoneAccount.number, Bill.number)
        .join(PhoneAccount, PhoneAccount.id == LedgerEntry.account_id)
        .outerjoin(Bill, Bill.id == LedgerEntry.bill_id)
    )


def _entry(entry: LedgerEntry, account: str, bill: str | None) -> Entry:
    return Entry(
        entry.id,
        account,
        entry.kind,
        Money.from_decimal(entry.amount),
        bill,
        entry.reason,
        entry.actor,
        entry.occurred_at,
    )

"""Tell, once for each bill, that its due date has passed and it is not paid (the event `bill.overdue`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from functools import partial
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy.orm import Session

from billing_service.domain.events import EventKind
from billing_service.storage.publishing import publish_bills
from billing_service.storage.tables import Bill, PhoneAccount
from billing_service.storage.unit_of_work import Database

ACCOUNTS_AT_ONCE: Final = 1000

log = structlog.get_logger(__name__)


def tell_overdue_bills(
    database: Database, *, as_of: datetime, zone: tzinfo, at_once: int = ACCOUNTS_AT_ONCE
) -> int:
    """Note and tell of the bills that were due before the local day of `as_of`; return how many.

    What was missed while nothing ran is made up for. Safe to run twice, and by several at once. A bill that
    was told of stays so, whatever becomes of it later. Blocks; run it in a thread.
    """
    today = as_of.astimezone(zone).date()
    told, after, found = 0, 0, True
    while found:
        # Accounts that somebody else is changing are passed over, and waited for one by one in the end:
        # waiting for one while holding others could end in a deadlock with the closing.
        work = partial(_tell_some, after=after, at_once=at_once, today=today, at=as_of)
        accounts, bills = database.run_blocking(work)
        told, found = told + bills, bool(accounts)
        after = accounts[-1] if accounts else after
    for account_id in database.run_blocking(partial(_accounts, today=today)):
        told += database.run_blocking(partial(_tell_one, account_id=account_id, today=today, at=as_of))
    if told:
        log.info("bills_overdue", bills=told, today=today.isoformat())
    return told


def _tell_some(
    session: Session, *, after: int, at_once: int, today: date, at: datetime
) -> tuple[Sequence[int], int]:
    """Return the accounts that were locked, and the number of their bills that were told of."""
    accounts = session.scalars(
        _with_overdue_bills(today)
        .where(PhoneAccount.id > after)
        .limit(at_once)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    return accounts, _tell(session, accounts, today=today, at=at)


def _tell_one(session: Session, *, account_id: int, today: date, at: datetime) -> int:
    session.scalar(
        select(PhoneAccount.id).where(PhoneAccount.id == account_id).with_for_update(key_share=True)
    )
    return _tell(session, [account_id], today=today, at=at)


def _tell(session: Session, accounts: Sequence[int], *, today: date, at: datetime) -> int:
    """Note and tell of the overdue bills of accounts that are locked, so that nobody pays them meanwhile."""
    if not accounts:
        return 0
    bills = session.scalars(
        update(Bill)
        .where(Bill.account_id.in_(accounts), *_is_overdue(today))
        .values(overdue_at=at)
        .returning(Bill.id)
        .execution_options(synchronize_session=False)
    ).all()
    if bills:
        publish_bills(session, EventKind.BILL_OVERDUE, Bill.id.in_(bills), at=at)
    return len(bills)


def _accounts(session: Session, *, today: date) -> Sequence[int]:
    return session.scalars(_with_overdue_bills(today)).all()


def _with_overdue_bills(today: date) -> Select[int]:
    overdue = select(Bill.id).where(Bill.account_id == PhoneAccount.id, *_is_overdue(today)).exists()
    return select(PhoneAccount.id).where(overdue).order_by(PhoneAccount.id)


def _is_overdue(today: date) -> list[ColumnElement[bool]]:
    """A bill is in time all through its due date. One that is paid or void is not `closed`."""
    return [Bill.state == "closed", Bill.due_on < today, Bill.overdue_at.is_(None)]

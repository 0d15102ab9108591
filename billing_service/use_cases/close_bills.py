"""Close billing periods: everything that is due and not closed, exactly once.

Accounts are closed many at a time, the oldest period first, each such chunk in a transaction of its own.
Closers take what nobody else holds (SKIP LOCKED), so any number of them, on any machines, share the work; in
the end each waits for what the others still hold. An account that can't be closed is noted and passed by.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from typing import Final

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from billing_service.domain.money import Currency
from billing_service.errors import BillingServiceError
from billing_service.storage.billed_calls import waits_for_a_bill
from billing_service.storage.call_partitions import ensure_coming_partitions
from billing_service.storage.closing_rows import DueAccount, lock_due_accounts
from billing_service.storage.tables import ClosingFailure, ClosingRun, PhoneAccount
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.close_periods import ClosedBill, close_periods, next_bill_number
from billing_service.use_cases.rate_call import CompiledPlans

__all__ = [
    "ClosedBill",
    "Closing",
    "UnableToCloseBills",
    "close_due",
    "close_next_period",
    "count_due",
    "due_accounts",
    "next_bill_number",
]

ACCOUNTS_AT_ONCE: Final = 1000
"""So many accounts are closed in one transaction, which then lasts well under a second."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closing did: bill numbers, and the numbers of the accounts that it suspended."""

    bills: tuple[str, ...]
    suspended: tuple[str, ...]


class UnableToCloseBills(BillingServiceError):
    """Some accounts could not be closed; all others were. What is due stays due for the next closing."""

    def __init__(self, accounts: list[str], closing: Closing) -> None:
        super().__init__(f"could not close the bills of {', '.join(accounts)}; the log tells why")
        self.accounts = accounts
        self.closing = closing


def _never() -> bool:
    return False


def _reason_of(error: Exception) -> str:
    """What went wrong, for the console. SQLAlchemy's own text is the whole statement with its values."""
    if isinstance(error, DBAPIError):
        told = getattr(error.orig, "diag", None)
        return f"The database refused the bill: {getattr(told, 'message_primary', None) or error.orig}"
    return f"{type(error).__name__}: {error}"


def close_due(
    database: Database,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    should_stop: Callable[[], bool] = _never,
    at_once: int = ACCOUNTS_AT_ONCE,
) -> Closing:
    """Close every period that has ended by `as_of`, however many of an account.

    Blocks; run it in a thread. `should_stop` is asked before every `at_once` accounts, and leaves the rest
    due. When it returns, nothing is due: what another closer was just doing has been waited for.

    Raises:
        UnableToCloseBills: after closing all others, if some account could not be.
        DatabaseUnavailable: the database went away; what was closed stays closed.
    """
    closer = _Closer(database, as_of, currency, zone, at_once, should_stop)
    closer.run()
    closing = Closing(tuple(closer.bills), tuple(closer.suspended))
    if closer.failed:
        raise UnableToCloseBills(sorted(closer.failed.values()), closing)
    return closing


def count_due(session: Session, as_of: datetime) -> int:
    """How many accounts have a period to close by `as_of`."""
    return session.scalar(select(func.count()).select_from(PhoneAccount).where(*_due(as_of))) or 0


def due_accounts(session: Session, as_of: datetime) -> list[tuple[int, str]]:
    """The identifiers and numbers of the accounts with a period to close by `as_of`, the oldest first."""
    rows = session.execute(
        select(PhoneAccount.id, PhoneAccount.number)
        .where(*_due(as_of))
        .order_by(PhoneAccount.period_start, PhoneAccount.id)
    )
    return [(account_id, number) for account_id, number in rows]


def close_next_period(
    session: Session, account_id: int, *, as_of: datetime, wait: bool, currency: Currency, zone: tzinfo
) -> ClosedBill | None:
    """Close an account's open period; None when it isn't due, or another closer has it and `wait` is off."""
    accounts = lock_due_accounts(
        session, PhoneAccount.id == account_id, order=(PhoneAccount.id,), after=None, limit=1, wait=wait
    )
    # Whether it is due is seen under the lock: another closer may have been here just before.
    closed = close_periods(session, accounts, as_of=as_of, currency=currency, zone=zone)
    return closed[0] if closed else None


_Key = tuple[datetime, int]
"""The place of an account in the order in which they are closed."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Accounts that are closed together (identifiers and numbers), and the place of the last one."""

    accounts: tuple[tuple[int, str], ...]
    last: _Key | None


class _ChunkTrouble(Exception):
    """Some account of a chunk could not be closed; none of them was."""

    def __init__(self, chunk: _Chunk) -> None:
        super().__init__(f"{len(chunk.accounts)} accounts could not be closed together")
        self.chunk = chunk


@dataclass(slots=True)
class _Closer:
    """One worker's closing. Progress is kept in its `closing_runs` row, by the transactions that make it."""

    database: Database
    as_of: datetime
    currency: Currency
    zone: tzinfo
    at_once: int
    should_stop: Callable[[], bool]
    bills: list[str] = field(default_factory=list)
    suspended: list[str] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    _run_id: int = 0
    _plans: CompiledPlans = field(default_factory=CompiledPlans)

    def run(self) -> None:
        self._run_id = self.database.run_blocking(self._begin)
        # Whoever another closer holds is passed over first and waited for in the end.
        for wait in (False, True):
            for finished in (False, True):
                self._close_all(finished=finished, wait=wait)
        if not self.should_stop():
            self.database.run_blocking(self._finish)

    def _close_all(self, *, finished: bool, wait: bool) -> None:
        """Close all periods that are due, in their order; `finished` ones are those of closed accounts.

        An account that has another period due comes again further on.
        """
        after: _Key | None = None
        while not self.should_stop():
            work = partial(self._close_chunk, finished=finished, after=after, wait=wait)
            try:
                chunk, closed = self.database.run_blocking(work)
                self._note(closed)
            except _ChunkTrouble as trouble:
                chunk = trouble.chunk
                self._close_one_by_one(chunk, wait=wait)
            if not chunk.accounts:
                return
            after = chunk.last

    def _close_chunk(
        self, session: Session, *, finished: bool, after: _Key | None, wait: bool
    ) -> tuple[_Chunk, list[ClosedBill]]:
        accounts = self._take(session, finished=finished, after=after, wait=wait)
        if not accounts:
            return _Chunk((), after), []
        last = accounts[-1]
        chunk = _Chunk(
            tuple((account.id, account.number) for account in accounts),
            (last.period_end or last.period_start, last.id),
        )
        try:
            closed = close_periods(
                session, accounts, as_of=self.as_of, currency=self.currency, zone=self.zone, plans=self._plans
            )
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, not an account's
        except Exception as error:
            raise _ChunkTrouble(chunk) from error
        self._progress(session, closed)
        return chunk, closed

    def _take(self, session: Session, *, finished: bool, after: _Key | None, wait: bool) -> list[DueAccount]:
        first = PhoneAccount.period_start if finished else PhoneAccount.period_end
        return lock_due_accounts(
            session,
            *_due(self.as_of, finished=finished),
            PhoneAccount.id.not_in(self.failed),
            order=(first, PhoneAccount.id),
            after=after,
            limit=self.at_once,
            wait=wait,
        )

    def _close_one_by_one(self, chunk: _Chunk, *, wait: bool) -> None:
        """Find out whose trouble it was, so that it doesn't keep the others from their bills."""
        for account_id, number in chunk.accounts:
            if self.should_stop():
                return
            try:
                work = partial(self._close_only, account_id=account_id, wait=wait)
                self._note(self.database.run_blocking(work))
            except DatabaseUnavailable:
                raise
            except Exception as error:  # one account's trouble, whatever it is
                log.exception("bill_not_closed", number=number)
                self.failed[account_id] = number
                self.database.run_blocking(
                    partial(self._fail, account_id=account_id, reason=_reason_of(error)[:1000])
                )

    def _close_only(self, session: Session, account_id: int, *, wait: bool) -> list[ClosedBill]:
        closed = close_next_period(
            session, account_id, as_of=self.as_of, wait=wait, currency=self.currency, zone=self.zone
        )
        bills = [] if closed is None else [closed]
        self._progress(session, bills)
        return bills

    def _note(self, closed: list[ClosedBill]) -> None:
        if closed:
            suspended = [bill.account for bill in closed if bill.suspended]
            log.info(
                "bills_closed",
                bills=len(closed),
                first=closed[0].number,
                last=closed[-1].number,
                suspended=suspended,
            )
            self.bills.extend(bill.number for bill in closed)
            self.suspended.extend(suspended)

    def _begin(self, session: Session) -> int:
        ensure_coming_partitions(session, self.as_of)
        run = ClosingRun(
            as_of=self.as_of,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            due=count_due(session, self.as_of),
        )
        session.add(run)
        session.flush()
        return run.id

    def _progress(self, session: Session, closed: list[ClosedBill]) -> None:
        if closed:
            suspended = sum(bill.suspended for bill in closed)
            self._update_run(
                session, closed=ClosingRun.closed + len(closed), suspended=ClosingRun.suspended + suspended
            )

    def _fail(self, session: Session, account_id: int, reason: str) -> None:
        session.add(ClosingFailure(run_id=self._run_id, account_id=account_id, reason=reason))
        self._update_run(session, failed=ClosingRun.failed + 1)

    def _finish(self, session: Session) -> None:
        self._update_run(session, finished_at=func.clock_timestamp())

    def _update_run(self, session: Session, **values: object) -> None:
        session.execute(
            update(ClosingRun)
            .where(ClosingRun.id == self._run_id)
            .values(progress_at=func.clock_timestamp(), **values)
            .execution_options(synchronize_session=False)
        )


def _due(as_of: datetime, *, finished: bool | None = None) -> list[ColumnElement[bool]]:
    """Accounts whose period is over, and (`finished`) closed ones with a call that came after all.

    Those that close on request only are never due.
    """
    late_call = exists().where(waits_for_a_bill())
    over = PhoneAccount.period_end <= as_of
    called_after_all = and_(PhoneAccount.period_end.is_(None), late_call)
    which = or_(over, called_after_all) if finished is None else called_after_all if finished else over
    return [which, PhoneAccount.closes_on_request.is_(False)]

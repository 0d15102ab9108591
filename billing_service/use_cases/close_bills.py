"""Close billing periods: everything that is due and not closed, exactly once.

Each period of each account is a transaction of its own, which holds the account's row. It takes the account's
unbilled calls, freezes the bill, charges the ledger, and moves the account to its next period; a crash leaves
all of that or nothing. Two closers never work on the same account; should one run where the other has just
been, it finds the account's period moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

import structlog
from sqlalchemy import Select, and_, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents
from billing_service.domain.dunning import SUSPENDED_FOR_UNPAID_BILLS, AccountState, must_suspend
from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import Currency
from billing_service.domain.period import BillingCalendar, Period
from billing_service.errors import BillingServiceError
from billing_service.storage.account_history import change_state
from billing_service.storage.tables import (
    Bill,
    BillNumberCounter,
    BillRevision,
    Call,
    Customer,
    LedgerEntry,
    PhoneAccount,
)
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.account_bill import WAITS_FOR_A_BILL, assemble_bill, open_period
from billing_service.use_cases.bill_document import freeze
from billing_service.use_cases.bill_heading import head_bill, read_letterhead
from billing_service.use_cases.settle_bills import count_unpaid_bills, dunning_limits, settle_bills

_CLOSER = "closing"

log = structlog.get_logger(__name__)


class UnableToCloseBills(BillingServiceError):
    """Some accounts could not be closed; all others were. What is due stays due for the next closing."""

    def __init__(self, accounts: list[str]) -> None:
        super().__init__(f"could not close the bills of {', '.join(accounts)}; the log tells why")
        self.accounts = accounts


@dataclass(frozen=True, slots=True)
class ClosedBill:
    """What closing one period of one account did."""

    number: str
    account: str
    suspended: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closing did: bill numbers, and the numbers of the accounts that it suspended."""

    bills: tuple[str, ...]
    suspended: tuple[str, ...]


def _never() -> bool:
    return False


def close_due(
    database: Database,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    should_stop: Callable[[], bool] = _never,
) -> Closing:
    """Close every period that has ended by `as_of`, however many of an account.

    Blocks; run it in a thread. `should_stop` is asked before each account, and leaves the rest due. When it
    returns, nothing is due: what another closer was just doing has been waited for.

    Raises:
        UnableToCloseBills: after closing all others, if some account could not be.
        DatabaseUnavailable: the database went away; what was closed stays closed.
    """
    closed: list[ClosedBill] = []
    failed: list[str] = []
    # Whoever another closer holds is passed over first and waited for in the end.
    for wait in (False, True):
        for account_id, number in database.run_blocking(lambda session: due_accounts(session, as_of)):
            if should_stop():
                break
            if number in failed:
                continue
            try:
                for bill in _close_account(
                    database, account_id, as_of=as_of, wait=wait, currency=currency, zone=zone
                ):
                    closed.append(bill)  # noqa: PERF402 - what is closed counts, even if the next one fails
            except DatabaseUnavailable:
                raise
            except Exception:  # one account's trouble must not keep the others from their bills
                log.exception("bill_not_closed", number=number)
                failed.append(number)
    if failed:
        raise UnableToCloseBills(failed)
    return Closing(
        tuple(bill.number for bill in closed), tuple(bill.account for bill in closed if bill.suspended)
    )


def due_accounts(session: Session, as_of: datetime) -> list[tuple[int, str]]:
    """The identifiers and numbers of the accounts with a period to close by `as_of`, the oldest first."""
    rows = session.execute(
        _due(as_of)
        .where(PhoneAccount.closes_on_request.is_(False))
        .order_by(PhoneAccount.period_start, PhoneAccount.id)
    )
    return [(account_id, number) for account_id, number in rows]


def _due(as_of: datetime) -> Select[int, str]:
    """Accounts whose period is over, and closed ones for which a call has come after their last bill."""
    late_call = exists().where(Call.account_id == PhoneAccount.id, *WAITS_FOR_A_BILL)
    return select(PhoneAccount.id, PhoneAccount.number).where(
        or_(PhoneAccount.period_end <= as_of, and_(PhoneAccount.period_end.is_(None), late_call))
    )


def _close_account(
    database: Database, account_id: int, *, as_of: datetime, wait: bool, currency: Currency, zone: tzinfo
) -> Iterator[ClosedBill]:
    """Close one period after the other until none is due."""
    while True:
        closed = database.run_blocking(
            lambda session: close_next_period(
                session, account_id, as_of=as_of, wait=wait, currency=currency, zone=zone
            )
        )
        if closed is None:
            return
        log.info("bill_closed", bill=closed.number, number=closed.account, suspended=closed.suspended)
        yield closed


def close_next_period(
    session: Session, account_id: int, *, as_of: datetime, wait: bool, currency: Currency, zone: tzinfo
) -> ClosedBill | None:
    """Close an account's open period; None when it isn't due, or another closer has it and `wait` is off."""
    account = session.scalar(
        select(PhoneAccount)
        .where(PhoneAccount.id == account_id)
        .with_for_update(skip_locked=not wait, key_share=True)
        .execution_options(populate_existing=True)
    )
    # Whether it is due is asked under the lock: another closer may have been here just before.
    if account is None or session.execute(_due(as_of).where(PhoneAccount.id == account_id)).first() is None:
        return None
    period = open_period(session, account, zone)
    if period.end > as_of:
        return None
    contents = assemble_bill(session, account, as_of=period.end, currency=currency, zone=zone)
    bill = _store_bill(session, account, contents, closed_at=as_of, currency=currency, zone=zone)
    _take_calls(session, bill, contents)
    _charge(session, bill)
    settle_bills(session, account.id, at=as_of)
    _move_on(account, period, zone)
    suspended = _suspend_if_needed(session, account, as_of)
    session.flush()
    return ClosedBill(bill.number, account.number, suspended)


def _store_bill(
    session: Session,
    account: PhoneAccount,
    contents: BillContents,
    *,
    closed_at: datetime,
    currency: Currency,
    zone: tzinfo,
) -> Bill:
    customer = session.get_one(Customer, account.customer_id)
    closed_on = closed_at.astimezone(zone).date()
    due_on = closed_on + timedelta(days=dunning_limits(session).payment_term_days)
    heading = head_bill(
        account,
        customer,
        read_letterhead(session),
        number=next_bill_number(session, closed_on),
        closed_at=closed_at,
        due_on=due_on,
        zone=zone,
    )
    bill = Bill(
        number=heading.number,
        account_id=account.id,
        customer_id=customer.id,
        period_start=contents.period.start,
        period_end=contents.period.end,
        state="closed",
        revision=heading.revision,
        currency=currency.code,
        total=contents.total.to_decimal(),
        due_on=due_on,
        closed_at=closed_at,
    )
    session.add(bill)
    session.flush()
    session.add(
        BillRevision(bill_id=bill.id, revision=heading.revision, document=freeze(heading, contents, currency))
    )
    return bill


def next_bill_number(session: Session, closed_on: date) -> str:
    """The next number of the year. Its counter stays locked until the bill commits: no gap, no double."""
    first = insert(BillNumberCounter).values(year=closed_on.year, last_number=1)
    number = session.scalar(
        first.on_conflict_do_update(
            index_elements=[BillNumberCounter.year],
            set_={"last_number": BillNumberCounter.last_number + 1},
        ).returning(BillNumberCounter.last_number)
    )
    assert number is not None, "the upsert returns its row"
    return f"{closed_on.year}-{number:06d}"


def _take_calls(session: Session, bill: Bill, contents: BillContents) -> None:
    """Put on the bill the calls that are in its document, and none that has arrived in the meantime."""
    for late in (False, True):
        record_ids = [call.record_id for call in contents.calls if call.late is late]
        taken = session.execute(
            update(Call)
            .where(Call.account_id == bill.account_id, Call.bill_id.is_(None), Call.record_id.in_(record_ids))
            .values(bill_id=bill.id, late=late)
            .returning(Call.record_id)
            .execution_options(synchronize_session=False)
        ).all()
        assert len(taken) == len(record_ids), "only the holder of the account's row bills its calls"


def _charge(session: Session, bill: Bill) -> None:
    if bill.total > 0:
        session.add(
            LedgerEntry(
                account_id=bill.account_id,
                kind=EntryKind.CHARGE.value,
                amount=-bill.total,
                bill_id=bill.id,
                reason=f"Bill {bill.number}",
                actor=_CLOSER,
                occurred_at=bill.closed_at,
            )
        )
        session.flush()


def _move_on(account: PhoneAccount, closed: Period, zone: tzinfo) -> None:
    """Open the next period, unless the account was closed in the one just billed."""
    account.period_start = closed.end
    account.period_billing_day = None
    if account.closed_at is not None and account.closed_at <= closed.end:
        account.period_end = None
    else:
        account.period_end = BillingCalendar(zone, account.billing_day).period_containing(closed.end).end


def _suspend_if_needed(session: Session, account: PhoneAccount, as_of: datetime) -> bool:
    unpaid = count_unpaid_bills(session, account.id)
    limit = dunning_limits(session).unpaid_bill_limit
    if not must_suspend(AccountState(account.state), unpaid_bills=unpaid, limit=limit):
        return False
    change_state(
        session,
        account,
        state=AccountState.SUSPENDED.value,
        at=as_of,
        reason=SUSPENDED_FOR_UNPAID_BILLS,
        actor=_CLOSER,
    )
    return True

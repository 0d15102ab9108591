"""Close the bill of a number for a month because somebody asks for it, and find the bill of a month."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.call_event import CloseRequest
from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Currency
from billing_service.domain.period import BillingCalendar, Period
from billing_service.domain.wall_clock import instant_of
from billing_service.errors import Conflict, NotFound
from billing_service.storage.account_history import lock_account
from billing_service.storage.billed_calls import move_open_period
from billing_service.storage.tables import Bill, Call, PhoneAccount
from billing_service.use_cases.bill_document import BillDocument
from billing_service.use_cases.close_bills import close_next_period
from billing_service.use_cases.find_bills import find_bill


def reference_period(account: PhoneAccount, *, month: int, year: int, zone: tzinfo) -> Period:
    """The account's period of a month: the one that begins in it; with billing day 1, the month itself."""
    day = min(account.billing_day, monthrange(year, month)[1])
    border = instant_of(datetime(year, month, day), zone)  # noqa: DTZ001 - as the wall clock shows it
    return BillingCalendar(zone, account.billing_day).period_containing(border)


def close_bill_request(
    session: Session, request: CloseRequest, *, currency: Currency, zone: tzinfo, at: datetime
) -> str:
    """Close an account's periods up to that of a month, and return the number of the month's bill.

    Asked again it changes nothing. Of an account that closes on request, the periods before in which nobody
    called are passed over: they make no bills.

    Raises:
        NotFound: there is no such account.
        Conflict: the period is not over, or is before those that can be billed.
    """
    account = lock_account(session, request.subscriber, against_intake=True)
    if account is None:
        raise NotFound(f"There is no phone account {request.subscriber}.")
    wanted = reference_period(account, month=request.month, year=request.year, zone=zone)
    if wanted.end > at:
        ends_on = wanted.end.astimezone(zone)
        raise Conflict(
            f"The period {request.month:02}/{request.year} ends on {ends_on:%Y-%m-%d}"
            " and can't be closed before it is over."
        )
    number = _bill_of(session, account, wanted)
    if number is not None:
        return number
    while account.period_end is not None and account.period_start < wanted.end:
        if account.closes_on_request:
            _pass_over_silence(session, account, wanted, zone)
        closed = close_next_period(session, account.id, as_of=at, wait=True, currency=currency, zone=zone)
        assert closed is not None, "a period that is over is due"
        session.refresh(account)
    number = _bill_of(session, account, wanted)
    if number is None:
        raise Conflict(
            f"There is no bill to make for {request.month:02}/{request.year}: the account"
            f" {request.subscriber} was not open then, or nobody called in it and later periods are billed."
        )
    return number


def find_bill_of_month(
    session: Session, subscriber: str, *, month: int | None, year: int | None, zone: tzinfo
) -> BillDocument:
    """The closed bill of a number for a month, or without one that of the last closed period.

    Raises:
        InvalidFields: a month without its year, or the other way round.
        NotFound: there is no such account or no such bill.
    """
    if (month is None) != (year is None):
        missing, given = ("year", "month") if year is None else ("month", "year")
        raise InvalidFields.one(missing, f"give it together with the {given}")
    account = session.scalar(select(PhoneAccount).where(PhoneAccount.number == subscriber))
    if account is None:
        raise NotFound(f"There is no phone account {subscriber}, so it has no bill.")
    if month is None or year is None:
        number = session.scalar(
            select(Bill.number)
            .where(Bill.account_id == account.id, Bill.state != "void")
            .order_by(Bill.period_start.desc(), Bill.id.desc())
            .limit(1)
        )
        problem = f"No bill of {subscriber} was closed yet."
    else:
        number = _bill_of(session, account, reference_period(account, month=month, year=year, zone=zone))
        problem = f"There is no closed bill of {subscriber} for {month:02}/{year}."
    document = None if number is None else find_bill(session, number)
    if document is None:
        raise NotFound(problem)
    return document


def _bill_of(session: Session, account: PhoneAccount, period: Period) -> str | None:
    return session.scalar(
        select(Bill.number)
        .where(
            Bill.account_id == account.id,
            Bill.state != "void",
            Bill.period_start >= period.start,
            Bill.period_start < period.end,
        )
        .order_by(Bill.period_start, Bill.id.desc())
        .limit(1)
    )


def _pass_over_silence(session: Session, account: PhoneAccount, wanted: Period, zone: tzinfo) -> None:
    """Move the open period on to the next one in which a call ended, at most to the one wanted."""
    first_ended_at = session.scalar(
        select(func.min(Call.ended_at)).where(
            Call.account_id == account.id,
            Call.billable_at >= account.period_start,
            Call.ended_at >= account.period_start,
        )
    )
    calendar = BillingCalendar(zone, account.billing_day)
    until = wanted if first_ended_at is None else calendar.period_containing(first_ended_at)
    next_period = until if until.start < wanted.start else wanted
    if account.period_start < next_period.start:
        move_open_period(session, account, next_period)

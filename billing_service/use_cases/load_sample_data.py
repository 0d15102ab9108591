"""Fill an empty database with a small telephone company that has been in business for three months.

Everything goes the way that real business goes: accounts are opened, calls arrive and are rated, periods are
closed, bills are paid or not, through the same use cases and in the order of the calendar. All in one
transaction, so that a database has either the whole of it or nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from billing_service.domain.call import Call
from billing_service.domain.dunning import AccountState
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.domain.period import BillingCalendar, Period
from billing_service.storage.account_history import change_state, lock_account
from billing_service.storage.tables import Administrator, Bill, BillingPlan, Customer, PhoneAccount
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.administrators import create_administrator
from billing_service.use_cases.change_settings import change_settings
from billing_service.use_cases.close_bills import close_next_period, due_accounts
from billing_service.use_cases.edit_account import change_plan, close_account
from billing_service.use_cases.manage_customers import create_customer
from billing_service.use_cases.manage_plans import create_plan
from billing_service.use_cases.open_account import AccountRequest, open_account
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.record_payment import Payment, record_payment
from billing_service.use_cases.sample_data.calls import Subscriber, calls_of
from billing_service.use_cases.sample_data.company import (
    ACCOUNTS,
    CUSTOMERS,
    DEFAULT_PLAN,
    LETTERHEAD,
    PLANS,
    SampleAccount,
)
from billing_service.use_cases.store_call_records import Delivery, store_call_records

_ACTOR: Final = "sample data"
_EMERGENCY_NUMBER: Final = "9911"
_CLOSED_PERIODS: Final = 3
_OFFICE_OPENS: Final = timedelta(hours=9, minutes=30)
_DAYS_TO_PAY: Final = timedelta(days=5)
# The arrival of one record is delayed beyond the closing of its period.
_LATE_BY: Final = timedelta(days=3)
_LOADER_LOCK: Final = 0x5A4D504C


@dataclass(frozen=True, slots=True)
class PhoneCredentials:
    """With what a phone of the sample data registers."""

    number: str
    display_name: str
    password: str


@dataclass(frozen=True, slots=True)
class SampleCredentials:
    """The passwords that were drawn; they are stored nowhere else."""

    login: str
    password: str
    phones: tuple[PhoneCredentials, ...]

    def to_document(self) -> dict[str, Any]:
        """As the file for the installation's owner has it."""
        return {
            "administrator": {"login": self.login, "password": self.password},
            "phones": [
                {"number": phone.number, "display_name": phone.display_name, "password": phone.password}
                for phone in self.phones
            ],
        }


def load_sample_data(
    database: Database, *, now: datetime, currency: Currency, zone: tzinfo, realm: str
) -> SampleCredentials | None:
    """Load the sample data as of an instant; None, and nothing done, when the database isn't empty."""
    return database.run_blocking(
        lambda session: _Loader(session, now=now, currency=currency, zone=zone, realm=realm).load()
    )


@dataclass(frozen=True, slots=True)
class _Phone:
    """An account of the sample data with its place in the calendar."""

    sample: SampleAccount
    opened_at: datetime
    periods: tuple[Period, ...]
    """The closed ones and the open one, in order."""

    @property
    def closes_at(self) -> datetime | None:
        """In the middle of its last period, if it is to be closed."""
        if self.sample.closes_after_periods is None:
            return None
        last = self.periods[self.sample.closes_after_periods]
        return last.start + (last.end - last.start) / 2

    def to_subscriber(self) -> Subscriber:
        """As the exchange knows it. Who pays nothing is suspended when the last period is closed."""
        sample = self.sample
        return Subscriber(
            sample.number,
            sample.calls_per_week,
            self.opened_at,
            self.closes_at or (self.periods[-1].start if sample.pays_bills == 0 else None),
            sample.outgoing_filter,
            sample.incoming_filter,
            sample.block_list,
        )


class _Loader:
    """One loading, in one transaction."""

    def __init__(
        self, session: Session, *, now: datetime, currency: Currency, zone: tzinfo, realm: str
    ) -> None:
        self._session = session
        self._now = now
        self._currency = currency
        self._zone = zone
        self._realm = realm
        self._plans = CompiledPlans()
        self._plan_ids: dict[str, int] = {}

    def load(self) -> SampleCredentials | None:
        self._session.execute(select(func.pg_advisory_xact_lock(_LOADER_LOCK)))
        if not self._is_empty():
            return None
        phones = [self._place(sample) for sample in ACCOUNTS]
        founded_at = min(phone.opened_at for phone in phones)
        change_settings(self._session, LETTERHEAD, actor=_ACTOR)
        self._create_plans(founded_at)
        credentials = self._open_accounts(phones, self._create_customers(founded_at))
        self._live_through(phones)
        for phone in phones:
            if phone.sample.out_of_service:
                self._put_out_of_service(phone.sample.number)
        password = secrets.token_urlsafe(12)
        create_administrator(
            self._session, login="admin", name="Administrator", password=password, actor=_ACTOR, at=self._now
        )
        return SampleCredentials("admin", password, credentials)

    def _is_empty(self) -> bool:
        return not any(
            self._session.scalar(select(exists(select(table.id))))
            for table in (Customer, BillingPlan, PhoneAccount, Administrator)
        )

    def _place(self, sample: SampleAccount) -> _Phone:
        """Open an account so long ago that it has three periods behind it."""
        calendar = BillingCalendar(self._zone, sample.billing_day)
        periods = [calendar.period_containing(self._now)]
        for _ in range(_CLOSED_PERIODS):
            periods.insert(0, calendar.period_containing(periods[0].start - timedelta(seconds=1)))
        return _Phone(sample, periods[0].start + _OFFICE_OPENS, tuple(periods))

    def _create_plans(self, founded_at: datetime) -> None:
        for terms in PLANS:
            self._plan_ids[terms.name] = create_plan(self._session, terms, actor=_ACTOR, at=founded_at).id
        change_settings(self._session, {"default_plan_id": self._plan_ids[DEFAULT_PLAN]}, actor=_ACTOR)

    def _create_customers(self, founded_at: datetime) -> dict[str, int]:
        return {
            customer.name: create_customer(
                self._session,
                name=customer.name,
                email=customer.email,
                address=customer.address,
                alternative_number=customer.alternative_number,
                actor=_ACTOR,
                at=founded_at,
            ).id
            for customer in CUSTOMERS
        }

    def _open_accounts(
        self, phones: Sequence[_Phone], customer_ids: dict[str, int]
    ) -> tuple[PhoneCredentials, ...]:
        credentials = []
        for phone in phones:
            sample = phone.sample
            request = AccountRequest(
                customer_id=customer_ids[sample.customer],
                number=sample.number,
                plan_id=self._plan_ids[sample.plan],
                display_name=sample.display_name,
                billing_day=sample.billing_day,
                call_limit=sample.call_limit,
                outgoing_filter=sample.outgoing_filter,
                incoming_filter=sample.incoming_filter,
                block_list=sample.block_list,
            )
            opened = open_account(
                self._session,
                request,
                realm=self._realm,
                zone=self._zone,
                actor=_ACTOR,
                at=phone.opened_at,
            )
            if phone.closes_at is None:
                credentials.append(PhoneCredentials(sample.number, sample.display_name, opened.sip_password))
        return tuple(credentials)

    def _live_through(self, phones: Sequence[_Phone]) -> None:
        """Let the calendar run: at each date first the calls arrive, then what is due happens."""
        arrivals = self._arrivals(phones)
        delivered = 0
        for date in self._dates(phones):
            arrived = sum(arrived_at <= date for arrived_at, _ in arrivals)
            self._deliver([call for _, call in arrivals[delivered:arrived]], date)
            delivered = arrived
            self._close_due(date)
            for phone in phones:
                self._act(phone, date)
        assert delivered == len(arrivals), "the last date is now"

    def _dates(self, phones: Sequence[_Phone]) -> list[datetime]:
        """When something happens besides calls."""
        dates = {self._now}
        for phone in phones:
            dates |= {period.end for period in phone.periods[:-1]}
            dates |= {period.end + _DAYS_TO_PAY for period in phone.periods[:-1]}
            dates |= {date for date in (phone.closes_at, self._changes_plan_at(phone)) if date is not None}
        return sorted(date for date in dates if date <= self._now)

    def _changes_plan_at(self, phone: _Phone) -> datetime | None:
        if phone.sample.later_plan is None:
            return None
        second = phone.periods[1]
        return second.start + (second.end - second.start) / 2

    def _arrivals(self, phones: Sequence[_Phone]) -> list[tuple[datetime, Call]]:
        """All calls with the instants at which their records arrive, in that order; one comes late."""
        subscribers = [phone.to_subscriber() for phone in phones]
        calls = [
            call
            for subscriber in subscribers
            for call in calls_of(
                subscriber,
                callees=subscribers,
                emergency_number=_EMERGENCY_NUMBER,
                until=self._now,
                zone=self._zone,
            )
        ]
        border = phones[0].periods[1].end
        straggler = max(
            (call for call in calls if call.caller == phones[0].sample.number and call.ended_at < border),
            key=lambda call: (call.is_chargeable, call.ended_at),
        )
        arrivals = [
            (call.ended_at + (_LATE_BY if call is straggler else timedelta()), call) for call in calls
        ]
        return sorted(arrivals, key=lambda arrival: (arrival[0], arrival[1].record_id))

    def _deliver(self, calls: Sequence[Call], received_at: datetime) -> None:
        store_call_records(
            self._session,
            [Delivery({}, call) for call in calls],
            plans=self._plans,
            currency=self._currency,
            zone=self._zone,
            received_at=received_at,
        )

    def _close_due(self, as_of: datetime) -> None:
        """Close what is due: one period an account, as every end of a period is one of the dates."""
        for account_id, _ in due_accounts(self._session, as_of):
            close_next_period(
                self._session,
                account_id,
                as_of=as_of,
                wait=True,
                currency=self._currency,
                zone=self._zone,
            )

    def _act(self, phone: _Phone, date: datetime) -> None:
        """What an account's owner does on a date."""
        number = phone.sample.number
        paid = phone.periods[: min(phone.sample.pays_bills, _CLOSED_PERIODS)]
        if date in {period.end + _DAYS_TO_PAY for period in paid}:
            self._pay_oldest(number, date)
        if date == self._changes_plan_at(phone) and phone.sample.later_plan is not None:
            plan_id = self._plan_ids[phone.sample.later_plan]
            change_plan(self._session, number, plan_id=plan_id, at=date, actor=_ACTOR)
        if date == phone.closes_at:
            close_account(self._session, number, actor=_ACTOR, at=date)

    def _pay_oldest(self, number: str, date: datetime) -> None:
        total = self._session.scalar(
            select(Bill.total)
            .join(PhoneAccount, PhoneAccount.id == Bill.account_id)
            .where(PhoneAccount.number == number, Bill.state == "closed")
            .order_by(Bill.period_start)
            .limit(1)
        )
        amount = ZERO if total is None else Money.from_decimal(total)
        if amount > ZERO:
            payment = Payment(number, amount, None, "Bank transfer", _ACTOR)
            record_payment(self._session, payment, at=date, currency=self._currency)

    def _put_out_of_service(self, number: str) -> None:
        account = lock_account(self._session, number)
        assert account is not None, "it has been opened before"
        change_state(
            self._session,
            account,
            state=AccountState.OUT_OF_SERVICE.value,
            at=self._now,
            reason="faulty handset",
            actor=_ACTOR,
        )

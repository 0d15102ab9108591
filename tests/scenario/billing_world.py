"""A telephone company on a calendar: what customers, callers and the clock do to a real database."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from billing_service.domain.allowance import Allowance
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import PlanTerms, Price
from billing_service.domain.tax import Taxable, TaxRate
from billing_service.storage.account_queries import AccountView, find_account
from billing_service.storage.billed_calls import listed_calls
from billing_service.storage.tables import (
    AccountStateHistory,
    Bill,
    BillRevision,
    BillSettlement,
    LedgerEntry,
    PhoneAccount,
)
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.close_bills import Closing, close_due
from billing_service.use_cases.edit_account import change_plan
from billing_service.use_cases.find_bills import find_bill
from billing_service.use_cases.give_credit import Credit, give_credit
from billing_service.use_cases.manage_customers import create_customer
from billing_service.use_cases.manage_plans import create_plan
from billing_service.use_cases.manage_taxes import add_tax
from billing_service.use_cases.open_account import AccountRequest, open_account
from billing_service.use_cases.open_bill import open_bill
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.reclose_bill import Correction, RecloseResult, reclose_bill
from billing_service.use_cases.record_payment import Payment, record_payment
from billing_service.use_cases.refund_credit import Refund, RefundReceipt, refund_credit
from billing_service.use_cases.store_call_records import Delivery, Receipt, store_call_records
from billing_service.use_cases.take_money import MoneyReceipt
from billing_service.use_cases.void_bill import VoidedBill, void_bill

USD = Currency.of("USD")
ACTOR = "test"


def at(text: str, zone: tzinfo = UTC) -> datetime:
    """An instant as the wall clock of a zone shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@dataclass
class BillingWorld:
    """What a test does with the billing service, in the words of the test."""

    database: Database
    zone: tzinfo = UTC
    plans: CompiledPlans = field(default_factory=CompiledPlans)
    records: itertools.count[int] = field(default_factory=itertools.count)

    def plan(self, name: str, fee: str, price: Price | None = None, *, included: int = 0) -> int:
        """A new plan; without a price, ten cents a started minute."""
        terms = PlanTerms(
            name,
            Money.parse(fee),
            price or Price(Money.parse("0.10")),
            allowance=Allowance(included),
        )
        return self.database.run_blocking(
            lambda session: create_plan(session, terms, actor=ACTOR, at=at("2020-01-01")).id
        )

    def account(
        self, number: str, plan_id: int, opened_at: datetime, *, billing_day: int | None = None
    ) -> str:
        """A new customer with one account."""

        def work(session: Any) -> None:
            customer = create_customer(
                session,
                name=f"Customer of {number}",
                email=None,
                address=None,
                alternative_number=None,
                actor=ACTOR,
                at=opened_at,
            )
            request = AccountRequest(customer.id, number, plan_id, billing_day=billing_day)
            open_account(session, request, realm="test", zone=self.zone, actor=ACTOR, at=opened_at)

        self.database.run_blocking(work)
        return number

    def call(
        self,
        caller: str,
        answered_at: datetime,
        minutes: int = 1,
        *,
        emergency: bool = False,
        answered: bool = True,
    ) -> str:
        """A call whose record arrives now; returns its record's identifier."""
        call = self.record_of(caller, answered_at, minutes, emergency=emergency, answered=answered)
        self.deliver(call)
        return call.record_id

    def record_of(
        self,
        caller: str,
        answered_at: datetime,
        minutes: int = 1,
        *,
        emergency: bool = False,
        answered: bool = True,
    ) -> Call:
        """The record of a call that has not arrived yet."""
        record_id = f"record-{next(self.records)}"
        duration = timedelta(minutes=minutes) if answered else timedelta()
        return Call(
            record_id=record_id,
            call_id=f"{record_id}@test",
            caller=caller,
            callee="4911" if emergency else "5000",
            emergency=emergency,
            invited_at=answered_at,
            ringing_at=answered_at,
            answered_at=answered_at if answered else None,
            acknowledged_at=answered_at if answered else None,
            ended_at=answered_at + duration,
            duration_us=duration // timedelta(microseconds=1),
            outcome=Outcome.ANSWERED if answered else Outcome.NO_ANSWER,
            status=200 if answered else 480,
            reason="OK" if answered else "No answer",
            ended_by=EndedBy.CALLER,
        )

    def deliver(self, *calls: Call) -> None:
        """Records that arrive together."""
        results = self.database.run_blocking(
            lambda session: store_call_records(
                session,
                [Delivery({}, call) for call in calls],
                plans=self.plans,
                currency=USD,
                zone=self.zone,
                received_at=max(call.ended_at for call in calls),
            )
        )
        assert {result.receipt for result in results} == {Receipt.STORED}, results

    def close(self, as_of: datetime) -> Closing:
        return close_due(self.database, as_of=as_of, currency=USD, zone=self.zone)

    def pay(self, account: str, amount: str, when: datetime, *, bill: str | None = None) -> MoneyReceipt:
        payment = Payment(account, Money.parse(amount), bill, "", ACTOR)
        return self.database.run_blocking(
            lambda session: record_payment(session, payment, at=when, currency=USD)
        )

    def credit(self, account: str, amount: str, when: datetime, *, bill: str | None = None) -> MoneyReceipt:
        credit = Credit(account, Money.parse(amount), bill, "Sorry", ACTOR)
        return self.database.run_blocking(lambda session: give_credit(session, credit, at=when, currency=USD))

    def refund(self, account: str, amount: str, when: datetime) -> RefundReceipt:
        refund = Refund(account, Money.parse(amount), "Paid twice", ACTOR)
        return self.database.run_blocking(
            lambda session: refund_credit(session, refund, at=when, currency=USD)
        )

    def void(self, bill: str, when: datetime) -> VoidedBill:
        return self.database.run_blocking(
            lambda session: void_bill(session, bill, reason="Wrong", at=when, actor=ACTOR)
        )

    def reclose(self, bill: str, when: datetime) -> RecloseResult:
        why = Correction("Put right", when, ACTOR)
        return self.database.run_blocking(
            lambda session: reclose_bill(session, bill, why, compiled_plans=self.plans)
        )

    def bill(self, number: str, *, revision: int | None = None) -> dict[str, Any]:
        """A closed bill as the API shows it."""
        document = self.database.run_blocking(lambda session: find_bill(session, number, revision=revision))
        assert document is not None
        return document

    def tax(self, name: str, percent: str, since: date, to: date | None = None) -> int:
        """A tax on fees and calls."""
        rate = TaxRate(name, Decimal(percent), frozenset(Taxable), since, to)
        return self.database.run_blocking(lambda session: add_tax(session, rate, actor=ACTOR).id)

    def change_plan(self, account: str, plan_id: int, when: datetime) -> None:
        self.database.run_blocking(
            lambda session: change_plan(session, account, plan_id=plan_id, at=when, actor=ACTOR)
        )

    def open_bill(self, account: str, when: datetime) -> Mapping[str, Any]:
        return self.database.run_blocking(
            lambda session: open_bill(session, account, as_of=when, currency=USD, zone=self.zone)
        )

    def look(self, account: str, when: datetime) -> AccountView:
        view = self.database.run_blocking(lambda session: find_account(session, account, at=when))
        assert view is not None
        return view

    def documents(self, account: str) -> list[dict[str, Any]]:
        """The frozen bills of an account with their calls, the oldest first."""

        def work(session: Any) -> list[dict[str, Any]]:
            rows = session.execute(
                select(BillRevision.document, listed_calls())
                .join(Bill, Bill.id == BillRevision.bill_id)
                .join(PhoneAccount, PhoneAccount.id == Bill.account_id)
                .where(PhoneAccount.number == account, BillRevision.revision == Bill.revision)
                .order_by(Bill.period_start)
            )
            return [{**document, "calls": calls} for document, calls in rows]

        return self.database.run_blocking(work)

    def states(self, account: str) -> list[tuple[str, datetime, datetime | None, str]]:
        """The state history of an account."""
        return self.database.run_blocking(
            lambda session: [
                tuple(row)
                for row in session.execute(
                    select(
                        AccountStateHistory.state,
                        AccountStateHistory.valid_from,
                        AccountStateHistory.valid_to,
                        AccountStateHistory.reason,
                    )
                    .join(PhoneAccount, PhoneAccount.id == AccountStateHistory.account_id)
                    .where(PhoneAccount.number == account)
                    .order_by(AccountStateHistory.valid_from)
                )
            ]
        )

    def check_books(self) -> None:
        """What must always hold: documents, bills, ledger and settlements tell the same story.

        An account's balance is the sum of its entries, and that is its money less what is due on its bills.
        """

        def work(session: Any) -> None:
            balance: defaultdict[int, Decimal] = defaultdict(Decimal)
            available: defaultdict[int, Decimal] = defaultdict(Decimal)
            due: defaultdict[int, Decimal] = defaultdict(Decimal)
            for bill in session.scalars(select(Bill)):
                revision = session.get(BillRevision, (bill.id, bill.revision))
                document = revision.document
                lines = sum(Money.parse(line["amount"]).micros for line in document["lines"])
                assert Money.parse(document["total"]).micros == lines == Money.from_decimal(bill.total).micros
                owed = Decimal(0) if bill.state == "void" else bill.total
                charged = session.scalar(
                    select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(
                        LedgerEntry.bill_id == bill.id, LedgerEntry.kind.in_(("charge", "reversal"))
                    )
                )
                assert charged == -owed
                paid = session.scalar(
                    select(func.coalesce(func.sum(BillSettlement.amount), 0)).where(
                        BillSettlement.bill_id == bill.id
                    )
                )
                assert 0 <= paid <= owed
                assert bill.state == "void" or (bill.state == "paid") == (paid == owed)
                due[bill.account_id] += owed - paid
            for entry in session.scalars(select(LedgerEntry)):
                balance[entry.account_id] += entry.amount
                used = session.scalar(
                    select(func.coalesce(func.sum(BillSettlement.amount), 0)).where(
                        BillSettlement.ledger_entry_id == entry.id
                    )
                )
                if entry.kind in ("payment", "credit"):
                    assert 0 <= used <= entry.amount
                    available[entry.account_id] += entry.amount - used
                else:
                    assert used == 0
                if entry.kind == "refund":
                    refunded = select(func.sum(BillSettlement.amount)).where(
                        BillSettlement.refund_id == entry.id
                    )
                    assert session.scalar(refunded) == -entry.amount
                    sources = (
                        select(LedgerEntry.kind)
                        .join(BillSettlement, BillSettlement.ledger_entry_id == LedgerEntry.id)
                        .where(BillSettlement.refund_id == entry.id)
                    )
                    assert set(session.scalars(sources)) == {"payment"}, "a credit was paid out"
            for account_id in balance:
                assert balance[account_id] == available[account_id] - due[account_id]
                assert not (available[account_id] and due[account_id]), "money lies beside an unpaid bill"
            numbers = sorted(session.scalars(select(Bill.number)))
            for year, group in itertools.groupby(numbers, key=lambda number: number[:4]):
                assert [int(number[5:]) for number in group] == list(
                    range(1, 1 + sum(n[:4] == year for n in numbers))
                )

        self.database.run_blocking(work)

"""Bills with their frozen documents, the taxes on them, and the ledger."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Numeric, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Document, Identifier, Money
from billing_service.storage.tables.accounts import one_of

BILL_STATES = ("closed", "paid", "void")
LEDGER_KINDS = ("charge", "reversal", "payment", "credit", "refund")


class BillNumberCounter(Base):
    """The last bill number given in a year; its row stays locked until the bill commits, so no gaps."""

    __tablename__ = "bill_number_counters"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_number: Mapped[int]


class Bill(Base):
    """A closed billing period of an account; one per account and period start, so closing is repeatable.

    Only a void bill leaves room for another one, which then `replaces_id` it.
    """

    __tablename__ = "bills"
    __table_args__ = (
        CheckConstraint(one_of("state", BILL_STATES), name="state_known"),
        CheckConstraint("period_end > period_start", name="period_not_empty"),
        CheckConstraint("revision >= 1", name="revision_positive"),
        CheckConstraint("(state = 'void') = (voided_at IS NOT NULL)", name="void_has_instant"),
        Index(
            "uq_bills_account_id_period_start",
            "account_id",
            "period_start",
            unique=True,
            postgresql_where=text("state <> 'void'"),
        ),
        Index("ix_bills_account_id_period_start", "account_id", "period_start"),
        Index("ix_bills_customer_id", "customer_id"),
        Index("ix_bills_closed_at_id", "closed_at", "id"),
        Index("ix_bills_unpaid", "account_id", postgresql_where=text("state = 'closed'")),
    )

    id: Mapped[Identifier]
    number: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("phone_accounts.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="closed")
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    currency: Mapped[str]
    total: Mapped[Money]
    due_on: Mapped[date]
    closed_at: Mapped[datetime]
    # When it was found, and told, that the bill is unpaid after its due date.
    overdue_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str] = mapped_column(server_default="")
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("bills.id"), unique=True)


class BillRevision(Base):
    """A bill's document as it was frozen, and why it was made again when it was. Never changed.

    Documents frozen before calls were found by their period contain a list of them.
    """

    __tablename__ = "bill_revisions"

    bill_id: Mapped[int] = mapped_column(ForeignKey("bills.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[Document]
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BillCallList(Base):
    """The calls of a revision that is not the last word on its period any more, as it listed them.

    The calls of all others are found by their period (`Call.billable_at`), to which later ones may come when
    the bill is closed again. Never changed.
    """

    __tablename__ = "bill_call_lists"
    __table_args__ = (
        ForeignKeyConstraint(["bill_id", "revision"], ["bill_revisions.bill_id", "bill_revisions.revision"]),
    )

    bill_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    calls: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class LedgerEntry(Base):
    """One movement of an account's balance: payments, credits and reversals are positive, the rest negative.

    Rows are only ever added (a trigger refuses anything else); a balance is their sum.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint(one_of("kind", LEDGER_KINDS), name="kind_known"),
        CheckConstraint(
            "CASE WHEN kind IN ('payment', 'credit', 'reversal') THEN amount >= 0 ELSE amount <= 0 END",
            name="sign_of_kind",
        ),
        Index("ix_ledger_entries_account_id_id", "account_id", "id"),
        Index("ix_ledger_entries_bill_id", "bill_id", postgresql_where=text("bill_id IS NOT NULL")),
    )

    id: Mapped[Identifier]
    account_id: Mapped[int] = mapped_column(ForeignKey("phone_accounts.id"))
    kind: Mapped[str]
    amount: Mapped[Money]
    bill_id: Mapped[int | None] = mapped_column(ForeignKey("bills.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str] = mapped_column(server_default="")
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BillSettlement(Base):
    """How much of a payment or credit went to which bill, or was given back by which refund (append-only).

    A negative amount releases money from a bill that was voided or came to less when it was closed again. A
    bill is paid by the sum of its rows; what a payment has left is its amount less the sum of its own.
    """

    __tablename__ = "bill_settlements"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        CheckConstraint("num_nonnulls(bill_id, refund_id) = 1", name="bill_or_refund"),
        CheckConstraint("amount > 0 OR refund_id IS NULL", name="refund_positive"),
        Index("ix_bill_settlements_bill_id", "bill_id"),
        Index("ix_bill_settlements_ledger_entry_id", "ledger_entry_id"),
    )

    id: Mapped[Identifier]
    bill_id: Mapped[int | None] = mapped_column(ForeignKey("bills.id"))
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("ledger_entries.id"))
    ledger_entry_id: Mapped[int] = mapped_column(ForeignKey("ledger_entries.id"))
    amount: Mapped[Money]
    settled_at: Mapped[datetime]


class TaxRate(Base):
    """A tax with the days on which it is in force, `[valid_from, valid_to)`. Only its end ever changes."""

    __tablename__ = "tax_rates"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name_given"),
        CheckConstraint("percent BETWEEN 0 AND 100", name="percent_sensible"),
        CheckConstraint("on_fees OR on_calls", name="on_something"),
        CheckConstraint("valid_to > valid_from", name="validity_not_empty"),
    )

    id: Mapped[Identifier]
    name: Mapped[str]
    percent: Mapped[Decimal] = mapped_column(Numeric(7, 4))
    on_fees: Mapped[bool]
    on_calls: Mapped[bool]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

"""Bills with their frozen documents, and the ledger."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Document, Identifier, Money
from billing_service.storage.tables.accounts import one_of

BILL_STATES = ("closed", "paid", "void")
LEDGER_KINDS = ("charge", "payment", "credit", "refund")


class BillNumberCounter(Base):
    """The last bill number given in a year; its row stays locked until the bill commits, so no gaps."""

    __tablename__ = "bill_number_counters"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_number: Mapped[int]


class Bill(Base):
    """A closed billing period of an account; one per account and period start, so closing is repeatable."""

    __tablename__ = "bills"
    __table_args__ = (
        UniqueConstraint("account_id", "period_start"),
        CheckConstraint(one_of("state", BILL_STATES), name="state_known"),
        CheckConstraint("period_end > period_start", name="period_not_empty"),
        CheckConstraint("revision >= 1", name="revision_positive"),
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


class BillRevision(Base):
    """A bill's document as it was frozen, and why it was made again when it was. Never changed."""

    __tablename__ = "bill_revisions"

    bill_id: Mapped[int] = mapped_column(ForeignKey("bills.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[Document]
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerEntry(Base):
    """One movement of an account's balance: payments and credits are positive, charges and refunds negative.

    Rows are only ever added (a trigger refuses anything else); a balance is their sum.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint(one_of("kind", LEDGER_KINDS), name="kind_known"),
        CheckConstraint(
            "CASE WHEN kind IN ('payment', 'credit') THEN amount >= 0 ELSE amount <= 0 END",
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
    """How much of a payment or credit went to which bill (append-only); a bill is paid by their sum."""

    __tablename__ = "bill_settlements"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("ix_bill_settlements_bill_id", "bill_id"),
        Index("ix_bill_settlements_ledger_entry_id", "ledger_entry_id"),
    )

    id: Mapped[Identifier]
    bill_id: Mapped[int] = mapped_column(ForeignKey("bills.id"))
    ledger_entry_id: Mapped[int] = mapped_column(ForeignKey("ledger_entries.id"))
    amount: Mapped[Money]
    settled_at: Mapped[datetime]

"""Call records as they came, and what billing made of them."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Identifier, RawDocument
from billing_service.storage.tables.accounts import one_of

OUTCOMES = ("answered", "cancelled", "busy", "no_answer", "rejected", "failed")
ENDED_BY = ("caller", "callee", "exchange", "unknown")
REJECTED_KINDS = ("call_record", "call_event")
REJECTED_STATES = ("pending", "released", "dismissed")


class CallRecordReceipt(Base):
    """That a record has arrived: the one place which makes delivery exactly once.

    It is apart from `calls` because a unique key over a table partitioned by month would have to contain the
    month; this one stays whole. `digest` (SHA-256 of the facts) tells a repeated delivery from a different
    record under the same identifier.
    """

    __tablename__ = "call_record_receipts"

    record_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    invited_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Call(Base):
    """One call attempt, with its price once rated. A trigger sees to it that neither ever changes.

    `account_id` is null when the caller's number is nobody's. `price` is null when the call was not answered
    or could not be rated (nobody's call, or no plan was in force at its answer); a free call has the price 0.

    `billable_at` says on which bill the call is: on that of the account's period which contains the instant.
    It is when the call ended, or the start of the period that was open when its record arrived, if that is
    later; null when the call goes on no bill. So closing a period writes to no call. An open period that
    moves otherwise, and a bill that is closed again, move the instants of calls that wait for their bill
    (`storage/open_periods.py`, `use_cases/reclose_bill.py`).
    """

    __tablename__ = "calls"
    __table_args__ = (
        CheckConstraint(one_of("outcome", OUTCOMES), name="outcome_known"),
        CheckConstraint(one_of("ended_by", ENDED_BY), name="ended_by_known"),
        CheckConstraint("duration_us >= 0", name="duration_not_negative"),
        CheckConstraint("(outcome = 'answered') = (answered_at IS NOT NULL)", name="answered_has_instant"),
        CheckConstraint("(price IS NULL) = (price_precise IS NULL)", name="price_whole"),
        CheckConstraint(
            "billable_at IS NULL"
            " OR (account_id IS NOT NULL AND price IS NOT NULL AND billable_at >= ended_at)",
            name="billable_whole",
        ),
        Index("ix_calls_caller_invited_at", "caller", "invited_at"),
        Index("ix_calls_callee_invited_at", "callee", "invited_at"),
        # With all that a closing sums up: the calls of an account lie together here, not in the table.
        Index(
            "ix_calls_account_id_billable_at",
            "account_id",
            "billable_at",
            postgresql_include=["ended_at", "price_precise", "price"],
            postgresql_where=text("billable_at IS NOT NULL"),
        ),
        # The partitions themselves are data: `storage/call_partitions.py` makes them as calls come.
        {"postgresql_partition_by": "RANGE (invited_at)"},
    )

    # The order of the primary key is the order in which calls are listed, and it holds the partition key.
    invited_at: Mapped[datetime] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(primary_key=True)
    call_id: Mapped[str]
    caller: Mapped[str]
    callee: Mapped[str]
    emergency: Mapped[bool]
    ringing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    ended_at: Mapped[datetime]
    duration_us: Mapped[int]
    outcome: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str]
    ended_by: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    account_id: Mapped[int | None] = mapped_column(ForeignKey("phone_accounts.id"))
    plan_version_id: Mapped[int | None] = mapped_column(ForeignKey("plan_versions.id"))
    price_precise: Mapped[Decimal | None]
    price: Mapped[Decimal | None]
    billable_at: Mapped[datetime | None]


class RejectedCallRecord(Base):
    """A record or event that contradicts itself or an earlier one: kept and shown, never billed or dropped.

    An administrator releases it, as it is or with corrections, or dismisses it; the row tells which, who and
    when. `released_as` is the record (or the call of the event) that came of it.
    """

    __tablename__ = "rejected_call_records"
    __table_args__ = (
        CheckConstraint(one_of("kind", REJECTED_KINDS), name="kind_known"),
        CheckConstraint(one_of("state", REJECTED_STATES), name="state_known"),
        CheckConstraint("(state = 'pending') = (resolved_at IS NULL)", name="resolved_has_instant"),
        Index("ix_rejected_call_records_pending", "id", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[Identifier]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    reason: Mapped[str]
    record: Mapped[RawDocument]
    kind: Mapped[str] = mapped_column(server_default="call_record")
    state: Mapped[str] = mapped_column(server_default="pending")
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str] = mapped_column(server_default="")
    resolution: Mapped[str] = mapped_column(server_default="")
    released_as: Mapped[str | None]

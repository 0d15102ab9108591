"""What comes in by other ways than the exchange's call records: call events, and files of calls."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Identifier
from billing_service.storage.tables.accounts import one_of

IMPORT_STATES = ("running", "finished", "failed", "cancelled")


class CallEventPair(Base):
    """The events of one call, of which there is one start and one end, in whichever order they came.

    `record_id` is set when both were there and a call record was made of them. Until then the call is
    unpaired: shown, never billed.
    """

    __tablename__ = "call_event_pairs"
    __table_args__ = (
        CheckConstraint(
            "(start_event_id IS NULL) = (started_at IS NULL)"
            " AND (started_at IS NULL) = (source IS NULL) AND (source IS NULL) = (destination IS NULL)",
            name="start_whole",
        ),
        CheckConstraint("(end_event_id IS NULL) = (ended_at IS NULL)", name="end_whole"),
        CheckConstraint(
            "record_id IS NULL OR (started_at IS NOT NULL AND ended_at IS NOT NULL)", name="record_of_both"
        ),
        Index(
            "ix_call_event_pairs_unpaired",
            "received_at",
            "call_id",
            postgresql_where=text("record_id IS NULL"),
        ),
    )

    call_id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]
    start_event_id: Mapped[str | None]
    started_at: Mapped[datetime | None]
    source: Mapped[str | None]
    destination: Mapped[str | None]
    end_event_id: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    end_source: Mapped[str | None]
    record_id: Mapped[str | None]


class CallImport(Base):
    """One run of an import of a file of calls: how far it is, and what became of the lines.

    The counts are written in the transactions that store the calls, so they are right whenever it stops.
    """

    __tablename__ = "call_imports"
    __table_args__ = (
        CheckConstraint(one_of("state", IMPORT_STATES), name="state_known"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished_has_instant"),
    )

    id: Mapped[Identifier]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    file_name: Mapped[str]
    uploaded: Mapped[bool]
    format: Mapped[str | None]
    timezone: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="running")
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    size_bytes: Mapped[int] = mapped_column(server_default=text("0"))
    read_bytes: Mapped[int] = mapped_column(server_default=text("0"))
    lines: Mapped[int] = mapped_column(server_default=text("0"))
    stored: Mapped[int] = mapped_column(server_default=text("0"))
    already_had: Mapped[int] = mapped_column(server_default=text("0"))
    rejected: Mapped[int] = mapped_column(server_default=text("0"))
    unassigned: Mapped[int] = mapped_column(server_default=text("0"))
    unrated: Mapped[int] = mapped_column(server_default=text("0"))
    total_price: Mapped[Decimal] = mapped_column(server_default=text("0"))
    problem: Mapped[str | None]

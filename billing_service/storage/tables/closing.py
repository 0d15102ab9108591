"""The progress of closing bills: what each worker found due, what it closed, and what it could not."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Identifier


class ClosingRun(Base):
    """One worker's share of a closing. A run that is not finished and makes no progress was killed."""

    __tablename__ = "closing_runs"

    id: Mapped[Identifier]
    as_of: Mapped[datetime]
    # Host and process, for the administrator.
    worker: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    progress_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    # Accounts that were due when the run began; others may close some of them.
    due: Mapped[int]
    # Bills, of which an account may get several when periods were missed.
    closed: Mapped[int] = mapped_column(server_default=text("0"))
    # Accounts.
    suspended: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))


class ClosingFailure(Base):
    """An account whose period a run could not close, and why. It stays due for the next run."""

    __tablename__ = "closing_failures"
    __table_args__ = (Index("ix_closing_failures_run_id", "run_id"),)

    id: Mapped[Identifier]
    run_id: Mapped[int] = mapped_column(ForeignKey("closing_runs.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("phone_accounts.id"))
    reason: Mapped[str]
    failed_at: Mapped[datetime] = mapped_column(server_default=func.now())

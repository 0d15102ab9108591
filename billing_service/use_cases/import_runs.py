"""The runs of imports, as `call_imports` keeps them: what was asked for, how far each is, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing_service.errors import BillingServiceError, Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.tables import CallImport

RUNNING: Final = "running"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"


class ImportCancelled(BillingServiceError):
    """The run has been cancelled meanwhile; what was stored until then stays."""

    def __init__(self) -> None:
        super().__init__("the import was cancelled; what was stored until then stays stored")


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the lines of a file. `total_price` is of the calls stored, as bills round them."""

    lines: int = 0
    """Up to which line the file was read; empty ones and headers are counted here only."""
    stored: int = 0
    already_had: int = 0
    rejected: int = 0
    unassigned: int = 0
    """How many of those stored were made by numbers that are nobody's."""
    unrated: int = 0
    """How many of those stored were answered and have no price."""
    total_price: Decimal = Decimal(0)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            max(self.lines, other.lines),
            self.stored + other.stored,
            self.already_had + other.already_had,
            self.rejected + other.rejected,
            self.unassigned + other.unassigned,
            self.unrated + other.unrated,
            self.total_price + other.total_price,
        )


@dataclass(frozen=True, slots=True)
class NewImport:
    """A run that begins."""

    file_name: str
    size_bytes: int
    uploaded: bool
    format: str | None
    timezone: str
    actor: str


def begin_import(session: Session, new: NewImport, *, at: datetime) -> CallImport:
    """Note that a run begins."""
    run = CallImport(
        created_at=at,
        updated_at=at,
        created_by=new.actor,
        file_name=new.file_name,
        size_bytes=new.size_bytes,
        uploaded=new.uploaded,
        format=new.format,
        timezone=new.timezone,
    )
    session.add(run)
    session.flush()
    return run


def restart_import(session: Session, import_id: int, *, at: datetime) -> None:
    """Let a run that was interrupted begin again; what it has stored counts as had already."""
    session.execute(
        update(CallImport)
        .where(CallImport.id == import_id, CallImport.state == RUNNING)
        .values(
            read_bytes=0,
            lines=0,
            stored=0,
            already_had=0,
            rejected=0,
            unassigned=0,
            unrated=0,
            total_price=0,
            updated_at=at,
        )
    )


def finish_import(session: Session, import_id: int, *, problem: str | None, at: datetime) -> None:
    """Note that a run is over, unless it was cancelled; `problem` is why it did not come to its end."""
    session.execute(
        update(CallImport)
        .where(CallImport.id == import_id, CallImport.state == RUNNING)
        .values(state=FINISHED if problem is None else FAILED, problem=problem, finished_at=at, updated_at=at)
    )


def cancel_import(session: Session, import_id: int, *, actor: str, at: datetime) -> CallImport:
    """Cancel a run: it stops at its next block, wherever it runs. What it has stored stays.

    Raises NotFound, and Conflict when it is over already.
    """
    # Waits for the block that is being stored, so that the counts are right.
    run = session.scalars(
        select(CallImport).where(CallImport.id == import_id).with_for_update()
    ).one_or_none()
    if run is None:
        raise NotFound(f"There is no import {import_id}.")
    if run.state != RUNNING:
        raise Conflict(f"The import {import_id} is over already: {run.state}.")
    run.state, run.finished_at, run.updated_at = CANCELLED, at, at
    run.problem = f"cancelled by {actor}; the {run.stored} stored until then stay stored"
    record_change(
        session,
        actor=actor,
        action="cancel",
        subject_kind="import",
        subject=import_id,
        changes={"file_name": run.file_name, "stored": run.stored},
    )
    session.flush()
    return run


def find_import(session: Session, import_id: int) -> CallImport:
    """One run; raises NotFound."""
    run = session.get(CallImport, import_id, populate_existing=True)
    if run is None:
        raise NotFound(f"There is no import {import_id}.")
    return run


def list_imports(session: Session, *, before_id: int | None, limit: int) -> Sequence[CallImport]:
    """Runs, newest first."""
    query = select(CallImport).order_by(CallImport.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(CallImport.id < before_id)
    return session.scalars(query).all()


def interrupted_uploads(session: Session) -> Iterator[CallImport]:
    """Runs of uploaded files that have not come to their end."""
    query = select(CallImport).where(CallImport.state == RUNNING, CallImport.uploaded).order_by(CallImport.id)
    yield from session.scalars(query)


def note_format(session: Session, import_id: int, name: str) -> None:
    """Note the format that the file was recognised to have."""
    session.execute(update(CallImport).where(CallImport.id == import_id).values(format=name))


def note_progress(session: Session, import_id: int, counts: Counts, read_bytes: int, at: datetime) -> None:
    """Add what became of the lines of one block, in the transaction that stores its calls.

    Blocks may be stored in another order than that of the file. Raises ImportCancelled.
    """
    run = CallImport
    noted = session.execute(
        update(run)
        .where(run.id == import_id, run.state == RUNNING)
        .values(
            read_bytes=func.greatest(run.read_bytes, read_bytes),
            lines=func.greatest(run.lines, counts.lines),
            stored=run.stored + counts.stored,
            already_had=run.already_had + counts.already_had,
            rejected=run.rejected + counts.rejected,
            unassigned=run.unassigned + counts.unassigned,
            unrated=run.unrated + counts.unrated,
            total_price=run.total_price + counts.total_price,
            updated_at=at,
        )
        .returning(run.id)
    )
    if noted.one_or_none() is None:
        raise ImportCancelled

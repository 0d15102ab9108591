"""Records and events that are kept apart: each once, however often it comes, and told when it is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_service.storage.publishing import publish_rejected_records
from billing_service.storage.tables import RejectedCallRecord


def keep_rejected(session: Session, rows: Mapping[bytes, Mapping[str, Any]]) -> None:
    """Keep rows of `rejected_call_records`, by their digests, as far as they are new."""
    if not rows:
        return
    # In order of their keys, so that two who keep the same rows at once wait and don't deadlock.
    new = session.scalars(
        insert(RejectedCallRecord)
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(RejectedCallRecord.id),
        [dict(rows[digest]) for digest in sorted(rows)],
    ).all()
    if new:
        publish_rejected_records(session, RejectedCallRecord.id.in_(new))

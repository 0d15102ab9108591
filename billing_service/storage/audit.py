"""The audit log: one row for each change, in the transaction that makes it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from billing_service.storage.tables import AuditEntry


def record_change(
    session: Session,
    *,
    actor: str,
    action: str,
    subject_kind: str,
    subject: str | int,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Note who did what to which thing. `changes` are new values as JSON can hold them; never a secret."""
    session.add(
        AuditEntry(
            actor=actor,
            action=action,
            subject_kind=subject_kind,
            subject=str(subject),
            changes=dict(changes or {}),
        )
    )

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
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Note who did what to which thing: the values it had and has, as JSON can hold them; never a secret.

    Fields that are the same before and after are left out. `changes` are values of which there is no
    earlier one, such as those of a payment.
    """
    new = {**(changes or {}), **(after or {})}
    old = dict(before or {})
    same = {field for field in old.keys() & new.keys() if old[field] == new[field]}
    session.add(
        AuditEntry(
            actor=actor,
            action=action,
            subject_kind=subject_kind,
            subject=str(subject),
            previous={field: value for field, value in old.items() if field not in same},
            changes={field: value for field, value in new.items() if field not in same},
        )
    )

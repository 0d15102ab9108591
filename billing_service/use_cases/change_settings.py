"""The settings that administrators change at run time."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.storage.audit import record_change
from billing_service.storage.tables import SystemSettings

EDITABLE = frozenset(
    {"concurrent_call_limit", "emergency_numbers", "ring_time_s", "unpaid_bill_limit", "payment_term_days"}
)


def read_settings(session: Session) -> SystemSettings:
    """Return the settings; the migrations made their only row."""
    return session.scalars(select(SystemSettings)).one()


def change_settings(session: Session, changes: Mapping[str, Any], *, actor: str) -> SystemSettings:
    """Change some of the settings (see EDITABLE). Those of the exchange reach it through the directory."""
    assert changes.keys() <= EDITABLE
    settings = session.scalars(select(SystemSettings).with_for_update()).one()
    for field, value in changes.items():
        setattr(settings, field, value)
    record_change(
        session, actor=actor, action="edit", subject_kind="settings", subject="system", changes=changes
    )
    return settings

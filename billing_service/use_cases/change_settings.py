"""The settings that administrators change at run time."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.storage.audit import record_change
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import BillingPlan, SystemSettings

EDITABLE = frozenset(
    {
        "concurrent_call_limit",
        "emergency_numbers",
        "ring_time_s",
        "unpaid_bill_limit",
        "payment_term_days",
        "phone_test_interval_s",
        "default_plan_id",
        "company_name",
        "company_address",
        "company_tax_number",
        "payment_instructions",
        "locale",
    }
)


def read_settings(session: Session) -> SystemSettings:
    """Return the settings; the migrations made their only row."""
    return session.scalars(select(SystemSettings)).one()


def change_settings(
    session: Session, changes: Mapping[str, Any], *, actor: str, expected: Collection[str] | None = None
) -> SystemSettings:
    """Change some of the settings (see EDITABLE). Those of the exchange reach it through the directory.

    Raises Stale when the row's version is none of those expected, and InvalidFields when accounts can't be
    given the default plan.
    """
    assert changes.keys() <= EDITABLE
    settings = session.scalars(select(SystemSettings).with_for_update()).one()
    require_unchanged(settings.row_version, expected)
    if changes.get("default_plan_id") is not None:
        _require_open_plan(session, changes["default_plan_id"])
    before = {field: getattr(settings, field) for field in changes}
    for field, value in changes.items():
        setattr(settings, field, value)
    record_change(
        session,
        actor=actor,
        action="edit",
        subject_kind="settings",
        subject="system",
        before=before,
        after=changes,
    )
    # The trigger has counted it.
    session.flush()
    session.refresh(settings)
    return settings


def _require_open_plan(session: Session, plan_id: int) -> None:
    plan = session.get(BillingPlan, plan_id, with_for_update={"read": True})
    if plan is None or not plan.active:
        raise InvalidFields.one("default_plan_id", f"there is no billing plan {plan_id} that takes accounts")

"""Change a phone account: its rules, its password, its plan, and whether it may call."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.errors import Conflict, NotFound
from billing_service.storage.account_history import change_plan_version, change_state, lock_account
from billing_service.storage.audit import record_change
from billing_service.storage.call_blocking import refresh_blocking
from billing_service.storage.plan_queries import newest_version
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import BillingPlan, PhoneAccount
from billing_service.use_cases.sip_password import digest_hashes, draw_password

EDITABLE = frozenset(
    {"display_name", "billing_day", "call_limit", "outgoing_filter", "incoming_filter", "block_list"}
)
BY_ADMINISTRATOR = "administrator"


def edit_account(
    session: Session,
    number: str,
    changes: Mapping[str, Any],
    *,
    actor: str,
    expected: Collection[str] | None = None,
) -> None:
    """Change some of an account's fields (see EDITABLE), in the form in which they are stored.

    The open billing period stays as it is; the one after it follows a new billing day.
    Raises NotFound, Conflict when the account is closed or its plan permits no block list, and Stale when the
    row's version is none of those expected.
    """
    assert changes.keys() <= EDITABLE
    account = _open_account(session, number)
    require_unchanged(account.row_version, expected)
    _require_permitted(account, changes.get("block_list") or [])
    before = {field: getattr(account, field) for field in changes}
    if account.period_billing_day is None and "billing_day" in changes:
        account.period_billing_day = account.billing_day
    for field, value in changes.items():
        setattr(account, field, value)
    _audit(session, number, "edit", actor, changes, before)


def set_sip_password(session: Session, number: str, password: str | None, *, realm: str, actor: str) -> str:
    """Give an account a SIP password, a random one if none is given, and return it.

    Raises NotFound, or Conflict when the account is closed.
    """
    account = _open_account(session, number)
    password = password or draw_password()
    hashes = digest_hashes(number=number, realm=realm, password=password)
    account.realm, account.ha1_md5, account.ha1_sha256 = realm, hashes.ha1_md5, hashes.ha1_sha256
    _audit(session, number, "set_sip_password", actor, {})
    return password


def suspend_account(session: Session, number: str, *, actor: str, at: datetime) -> None:
    """Suspend an active account: it may register and reach emergency numbers, nothing else.

    Raises NotFound, or Conflict when the account is not active.
    """
    _change_state(session, number, "suspend", {"active", "out_of_service"}, "suspended", actor, at)


def reactivate_account(session: Session, number: str, *, actor: str, at: datetime) -> None:
    """Let a suspended account call again, whatever it owes.

    Raises NotFound, or Conflict when the account is not suspended.
    """
    _change_state(session, number, "reactivate", {"suspended", "out_of_service"}, "active", actor, at)


def close_account(session: Session, number: str, *, actor: str, at: datetime) -> None:
    """Close an account for good. Its last bill comes at the end of its period and pays up to this instant.

    Raises NotFound, or Conflict when the account is closed already.
    """
    _change_state(session, number, "close", {"active", "suspended", "out_of_service"}, "closed", actor, at)


def change_plan(
    session: Session,
    number: str,
    *,
    plan_id: int,
    at: datetime,
    actor: str,
    now: datetime | None = None,
) -> None:
    """Put another plan in force for an account from an instant on, at the plan's newest version.

    `now` is when this is ordered; without it, the change is no order for later.

    Raises NotFound, Conflict when the account is closed or the plan takes no accounts, and InvalidFields
    when there is no such plan or the instant is in a period that is billed.
    """
    account = _open_account(session, number)
    plan = session.get(BillingPlan, plan_id, with_for_update={"read": True})
    if plan is None:
        raise InvalidFields.one("plan_id", f"there is no billing plan {plan_id}")
    if not plan.active:
        raise Conflict(f"The billing plan {plan.name} takes no more accounts.")
    if at < account.period_start:
        raise InvalidFields.one("from", "the time before the open billing period is billed already")
    version = newest_version(session, plan_id)
    assert version is not None, "a plan is created with its first version"
    change_plan_version(session, account, plan_version_id=version.id, at=at)
    refresh_blocking(session, at=now or at, account_id=account.id)
    _audit(
        session, number, "change_plan", actor, {"plan_id": plan_id, "plan": plan.name, "from": at.isoformat()}
    )


def _change_state(
    session: Session, number: str, action: str, allowed: set[str], state: str, actor: str, at: datetime
) -> None:
    account = _locked(session, number)
    if account.state not in allowed:
        raise Conflict(f"The account {number} is {account.state.replace('_', ' ')}.")
    before = {"state": account.state}
    change_state(session, account, state=state, at=at, reason=BY_ADMINISTRATOR, actor=actor)
    _audit(session, number, action, actor, {"state": state}, before)


def _require_permitted(account: PhoneAccount, block_list: Collection[str]) -> None:
    # What is on the list from an earlier plan may stay (the exchange isn't told), and go.
    if not account.blocking_permitted and set(block_list) - set(account.block_list):
        raise Conflict(f"The billing plan of the account {account.number} does not permit call blocking.")


def _open_account(session: Session, number: str) -> PhoneAccount:
    account = _locked(session, number)
    if account.state == "closed":
        raise Conflict(f"The account {number} is closed.")
    return account


def _locked(session: Session, number: str) -> PhoneAccount:
    account = lock_account(session, number)
    if account is None:
        raise NotFound(f"There is no phone account {number}.")
    return account


def _audit(
    session: Session,
    number: str,
    action: str,
    actor: str,
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> None:
    record_change(
        session,
        actor=actor,
        action=action,
        subject_kind="account",
        subject=number,
        before=before,
        after=after,
    )

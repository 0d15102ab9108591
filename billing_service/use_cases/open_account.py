"""Open a phone account: a number, a plan, a SIP password and a first billing period."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.period import first_period
from billing_service.domain.phone_number import check_number_pattern, draw_free_number, is_pattern
from billing_service.errors import Conflict
from billing_service.storage.audit import record_change
from billing_service.storage.plan_queries import newest_version
from billing_service.storage.publishing import publish_opened_accounts
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    BillingPlan,
    Customer,
    PhoneAccount,
    PlanVersion,
)
from billing_service.use_cases.change_settings import read_settings
from billing_service.use_cases.sip_password import digest_hashes, draw_password

# Any number, the same for everybody who draws a number or takes one.
_NUMBERS_LOCK = 0x70115E12


@dataclass(frozen=True, slots=True)
class FilterRule:
    """One rule of a calling filter: the first that matches a number decides."""

    pattern: str
    action: str


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """What a new phone account is to be. In `number`, each `#` is a digit that the system may choose."""

    customer_id: int
    number: str
    plan_id: int
    display_name: str | None = None
    billing_day: int | None = None
    call_limit: int | None = None
    outgoing_filter: tuple[FilterRule, ...] = ()
    incoming_filter: tuple[FilterRule, ...] = ()
    block_list: tuple[str, ...] = ()
    sip_password: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """The account, and its SIP password, which nobody can learn later."""

    account: PhoneAccount
    sip_password: str


def open_account(
    session: Session,
    request: AccountRequest,
    *,
    realm: str,
    zone: tzinfo,
    actor: str,
    at: datetime,
    draw: Callable[[int], int] = secrets.randbelow,
) -> OpenedAccount:
    """Open an account at an instant. `draw(n)`, a random integer below `n`, chooses among free numbers.

    Raises InvalidFields when the customer or the plan does not exist or the number is none, and Conflict when
    the number is taken, no number is free, or the plan takes no new accounts or permits no block list.
    """
    check_number_pattern(request.number)
    customer = session.get(Customer, request.customer_id)
    if customer is None:
        raise InvalidFields.one("customer_id", f"there is no customer {request.customer_id}")
    version = _plan_version_for_new_account(session, request.plan_id)
    if request.block_list and not version.permits_blocking:
        raise Conflict("This billing plan does not permit call blocking.")
    number = _take_number(session, request.number, draw)
    billing_day = request.billing_day or at.astimezone(zone).day
    period = first_period(at, billing_day=billing_day, zone=zone)
    password = request.sip_password or draw_password()
    hashes = digest_hashes(number=number, realm=realm, password=password)
    account = PhoneAccount(
        number=number,
        customer_id=customer.id,
        display_name=request.display_name or customer.name,
        state="active",
        realm=realm,
        ha1_md5=hashes.ha1_md5,
        ha1_sha256=hashes.ha1_sha256,
        call_limit=request.call_limit,
        outgoing_filter=filter_to_rows(request.outgoing_filter),
        incoming_filter=filter_to_rows(request.incoming_filter),
        block_list=list(request.block_list),
        blocking_permitted=version.permits_blocking,
        billing_day=billing_day,
        opened_at=at,
        period_start=period.start,
        period_end=period.end,
    )
    session.add(account)
    session.flush()
    session.add(AccountPlanHistory(account_id=account.id, plan_version_id=version.id, valid_from=at))
    session.add(AccountStateHistory(account_id=account.id, state="active", valid_from=at, actor=actor))
    record_change(
        session,
        actor=actor,
        action="open",
        subject_kind="account",
        subject=number,
        changes={
            "customer_id": customer.id,
            "plan_id": request.plan_id,
            "display_name": account.display_name,
            "billing_day": billing_day,
            "call_limit": request.call_limit,
        },
    )
    session.flush()
    publish_opened_accounts(session, PhoneAccount.id == account.id)
    return OpenedAccount(account, password)


def filter_to_rows(rules: tuple[FilterRule, ...]) -> list[dict[str, str]]:
    """Return a filter as it is stored and shown."""
    return [{"pattern": rule.pattern, "action": rule.action} for rule in rules]


def _plan_version_for_new_account(session: Session, plan_id: int) -> PlanVersion:
    # Locked, so that an edit of the plan in this moment does not leave the new account with the old version.
    plan = session.get(BillingPlan, plan_id, with_for_update={"read": True})
    if plan is None:
        raise InvalidFields.one("plan_id", f"there is no billing plan {plan_id}")
    if not plan.active:
        raise Conflict(f"The billing plan {plan.name} takes no new accounts.")
    version = newest_version(session, plan_id)
    assert version is not None, "a plan is created with its first version"
    return version


def _take_number(session: Session, wanted: str, draw: Callable[[int], int]) -> str:
    session.execute(select(func.pg_advisory_xact_lock(_NUMBERS_LOCK)))
    like = wanted.replace("#", "_")
    taken = session.scalars(select(PhoneAccount.number).where(PhoneAccount.number.like(like))).all()
    if is_pattern(wanted):
        # Nobody should be given a number that the exchange takes for a call for help.
        taken = [*taken, *read_settings(session).emergency_numbers]
    number = draw_free_number(wanted, taken, draw)
    if number is None:
        raise Conflict(
            f"No number is free that fits {wanted}."
            if is_pattern(wanted)
            else f"The number {wanted} is taken."
        )
    return number

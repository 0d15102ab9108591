"""What can be done to a phone account: password, suspend, reactivate, close, assign, another plan."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Identifier, Instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.phone_accounts import ACCOUNT, AccountAnswer, SipPassword, read_account
from billing_service.http_api.services import actor, services
from billing_service.use_cases.assign_number import assign_number
from billing_service.use_cases.edit_account import (
    change_plan,
    close_account,
    reactivate_account,
    set_sip_password,
    suspend_account,
)

operations = Operations("phone-accounts")


class NewPassword(RequestModel):
    """The SIP password wanted; null draws one."""

    sip_password: SipPassword | None = None


class NewAccountPlan(RequestModel):
    """The plan wanted, and from when; null is now."""

    plan_id: Identifier
    starts_at: Annotated[Instant | None, Field(alias="from")] = None


class NewOwner(RequestModel):
    """The customer that the number belongs to, and the plan from now on; null leaves the one it has."""

    customer_id: Identifier
    plan_id: Identifier | None = None


class NewPasswordAnswer(AnswerModel):
    """The new SIP password, which nobody can learn later."""

    sip_password: str


@operations.post(ACCOUNT + "/sip-password", scope=Scope.CUSTOMERS_WRITE)
async def post_sip_password(request: web.Request, body: NewPassword) -> NewPasswordAnswer:
    """Give the account another SIP password, shown this once."""
    wanted = body.sip_password
    parts, number, who = services(request), request.match_info["number"], actor(request)
    password = await parts.database.run(
        lambda session: set_sip_password(session, number, wanted, realm=parts.settings.sip_domain, actor=who)
    )
    return NewPasswordAnswer(sip_password=password)


@operations.post(ACCOUNT + "/suspend", scope=Scope.CUSTOMERS_WRITE, etag=True)
async def post_suspend(request: web.Request) -> AccountAnswer:
    """Suspend an active account."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: suspend_account(session, number, actor=who, at=now)
    )


@operations.post(ACCOUNT + "/reactivate", scope=Scope.CUSTOMERS_WRITE, etag=True)
async def post_reactivate(request: web.Request) -> AccountAnswer:
    """Let a suspended account call again."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: reactivate_account(session, number, actor=who, at=now)
    )


@operations.post(ACCOUNT + "/close", scope=Scope.CUSTOMERS_WRITE, etag=True)
async def post_close(request: web.Request) -> AccountAnswer:
    """Close an account for good."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: close_account(session, number, actor=who, at=now)
    )


@operations.post(ACCOUNT + "/assign", scope=Scope.CUSTOMERS_WRITE, etag=True)
async def post_assign(request: web.Request, body: NewOwner) -> AccountAnswer:
    """Give a number of the customer Unassigned to whom it belongs."""
    who, zone = actor(request), services(request).settings.timezone
    return await _change(
        request,
        lambda session, number, now: assign_number(
            session,
            number,
            customer_id=body.customer_id,
            plan_id=body.plan_id,
            zone=zone,
            at=now,
            actor=who,
        ),
    )


@operations.post(ACCOUNT + "/plan", scope=Scope.CUSTOMERS_WRITE, etag=True)
async def post_account_plan(request: web.Request, body: NewAccountPlan) -> AccountAnswer:
    """Put another plan in force for the account."""
    who = actor(request)
    return await _change(
        request,
        lambda session, number, now: change_plan(
            session, number, plan_id=body.plan_id, at=body.starts_at or now, actor=who, now=now
        ),
    )


async def _change(request: web.Request, work: Callable[[Session, str, datetime], None]) -> AccountAnswer:
    parts, number = services(request), request.match_info["number"]
    await parts.database.run(lambda session: work(session, number, parts.now()))
    return await read_account(request, number)

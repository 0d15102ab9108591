"""What can be done to a phone account: a new SIP password, suspend, reactivate, close, another plan."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field
from sqlalchemy.orm import Session

from billing_service.http_api.bodies import RequestModel, read_body
from billing_service.http_api.fields import Identifier, Instant
from billing_service.http_api.phone_accounts import ACCOUNT, SipPassword, read_account
from billing_service.http_api.services import actor, services
from billing_service.use_cases.edit_account import (
    change_plan,
    close_account,
    reactivate_account,
    set_sip_password,
    suspend_account,
)

routes = web.RouteTableDef()


class NewPassword(RequestModel):
    """The SIP password wanted; null draws one."""

    sip_password: SipPassword | None = None


class NewPlan(RequestModel):
    """The plan wanted, and from when; null is now."""

    plan_id: Identifier
    starts_at: Annotated[Instant | None, Field(alias="from")] = None


@routes.post(ACCOUNT + "/sip-password")
async def post_sip_password(request: web.Request) -> web.Response:
    """Give the account another SIP password, shown this once."""
    wanted = (await read_body(request, NewPassword)).sip_password
    parts, number, who = services(request), request.match_info["number"], actor(request)
    password = await parts.database.run(
        lambda session: set_sip_password(session, number, wanted, realm=parts.settings.sip_domain, actor=who)
    )
    return web.json_response({"sip_password": password})


@routes.post(ACCOUNT + "/suspend")
async def post_suspend(request: web.Request) -> web.Response:
    """Suspend an active account."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: suspend_account(session, number, actor=who, at=now)
    )


@routes.post(ACCOUNT + "/reactivate")
async def post_reactivate(request: web.Request) -> web.Response:
    """Let a suspended account call again."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: reactivate_account(session, number, actor=who, at=now)
    )


@routes.post(ACCOUNT + "/close")
async def post_close(request: web.Request) -> web.Response:
    """Close an account for good."""
    who = actor(request)
    return await _change(
        request, lambda session, number, now: close_account(session, number, actor=who, at=now)
    )


@routes.post(ACCOUNT + "/plan")
async def post_plan(request: web.Request) -> web.Response:
    """Put another plan in force for the account."""
    wanted = await read_body(request, NewPlan)
    who = actor(request)
    return await _change(
        request,
        lambda session, number, now: change_plan(
            session, number, plan_id=wanted.plan_id, at=wanted.starts_at or now, actor=who
        ),
    )


async def _change(request: web.Request, work: Callable[[Session, str, datetime], None]) -> web.Response:
    parts, number = services(request), request.match_info["number"]
    await parts.database.run(lambda session: work(session, number, parts.now()))
    return web.json_response(await read_account(request, number))

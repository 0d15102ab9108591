"""The system as a whole: health, what it is, the front page's counts, and its settings."""

from datetime import datetime, time
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import text

from billing_service.http_api.bodies import RequestModel, read_body
from billing_service.http_api.fields import Number, format_instant, format_money
from billing_service.http_api.services import actor, services
from billing_service.storage.overview import read_overview
from billing_service.storage.tables import SystemSettings
from billing_service.storage.unit_of_work import DatabaseUnavailable
from billing_service.use_cases.change_settings import change_settings, read_settings

NAME = "billing_service"
VERSION = "0.1.0"
HEALTH_TIMEOUT_S = 2.0

routes = web.RouteTableDef()


class SettingsChanges(RequestModel):
    """What is to change; fields that are left out stay as they are."""

    concurrent_call_limit: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    emergency_numbers: Annotated[list[Number], Field(default_factory=list, max_length=100)]
    ring_time_s: Annotated[int, Field(ge=5, le=600)] = 60
    unpaid_bill_limit: Annotated[int, Field(ge=1, le=1000)] = 3
    payment_term_days: Annotated[int, Field(ge=0, le=365)] = 14


@routes.get("/health")
async def get_health(request: web.Request) -> web.Response:
    """Tell whether the service can work; needs no token."""
    try:
        await services(request).database.run(
            lambda session: session.execute(text("SELECT 1")).one(), within_s=HEALTH_TIMEOUT_S
        )
    except DatabaseUnavailable:
        return web.json_response({"status": "unavailable", "database": "away"}, status=503)
    return web.json_response({"status": "ok", "database": "ok"})


@routes.get("/v1/info")
async def get_info(request: web.Request) -> web.Response:
    """Tell what this is."""
    parts = services(request)
    return web.json_response(
        {
            "name": NAME,
            "version": VERSION,
            "currency": parts.settings.currency.code,
            "timezone": parts.settings.timezone.key,
            "realm": parts.settings.sip_domain,
            "started_at": format_instant(parts.started_at),
        }
    )


@routes.get("/v1/overview")
async def get_overview(request: web.Request) -> web.Response:
    """Count everything."""
    parts = services(request)
    zone, currency = parts.settings.timezone, parts.settings.currency
    today_from = datetime.combine(parts.now().astimezone(zone), time(), tzinfo=zone)
    overview = await parts.database.run(lambda session: read_overview(session, today_from=today_from))
    return web.json_response(
        {
            "customers": overview.customers,
            "accounts": overview.accounts,
            "calls_today": overview.calls_today,
            "charged_today": format_money(overview.charged_today, currency),
            "open_total": format_money(overview.open_total, currency),
            "unpaid_bills": overview.unpaid_bills,
            "rejected_records": overview.rejected_records,
        }
    )


@routes.get("/v1/settings")
async def get_settings(request: web.Request) -> web.Response:
    """Read the settings."""
    return web.json_response(_show(await services(request).database.run(read_settings)))


@routes.patch("/v1/settings")
async def patch_settings(request: web.Request) -> web.Response:
    """Change some of the settings."""
    changes = (await read_body(request, SettingsChanges)).model_dump(exclude_unset=True)
    who = actor(request)
    settings = await services(request).database.run(
        lambda session: change_settings(session, changes, actor=who)
    )
    return web.json_response(_show(settings))


def _show(settings: SystemSettings) -> dict[str, Any]:
    return {
        "concurrent_call_limit": settings.concurrent_call_limit,
        "emergency_numbers": settings.emergency_numbers,
        "ring_time_s": settings.ring_time_s,
        "unpaid_bill_limit": settings.unpaid_bill_limit,
        "payment_term_days": settings.payment_term_days,
    }

"""The composition root: settings in, a web application out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web

from admin_web import pages
from admin_web.access import require_login
from admin_web.billing_client import BillingClient
from admin_web.billing_info import BillingInfo
from admin_web.error_pages import show_errors
from admin_web.exchange_client import ExchangeClient
from admin_web.exchange_feed import follow_exchange
from admin_web.keys import (
    ADDRESS_LIMIT,
    BILLING,
    BILLING_INFO,
    BOARD,
    CLOCK,
    EXCHANGE,
    LOGIN_LIMIT,
    SESSIONS,
)
from admin_web.live_board import LiveBoard
from admin_web.login_limit import LoginLimit
from admin_web.rendering import STATIC, set_up_templates
from admin_web.security_headers import add_security_headers
from admin_web.service_http import ServiceHttp
from admin_web.session import SessionKeeper
from admin_web.settings import Settings

MAX_FORM_BYTES = 64 * 1024
# As billing has it, per login and address: one who guesses must not lock out an administrator elsewhere.
FAILED_LOGINS_PER_LOGIN = 10
FAILED_LOGINS_PER_ADDRESS = 50
LOGIN_WINDOW = timedelta(minutes=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


def make_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> web.Application:
    """The whole console. It starts whether or not billing and the exchange are there."""
    app = web.Application(middlewares=[show_errors, require_login], client_max_size=MAX_FORM_BYTES)
    app[CLOCK] = clock
    app[BOARD] = LiveBoard()
    app[SESSIONS] = SessionKeeper(
        secret=settings.session_secret,
        clock=clock,
        idle_limit=settings.idle_limit,
        lifetime=settings.session_lifetime,
    )
    app[LOGIN_LIMIT] = LoginLimit(attempts=FAILED_LOGINS_PER_LOGIN, window=LOGIN_WINDOW, clock=clock)
    app[ADDRESS_LIMIT] = LoginLimit(attempts=FAILED_LOGINS_PER_ADDRESS, window=LOGIN_WINDOW, clock=clock)
    set_up_templates(app)
    app.add_routes(pages.ROUTES)
    app.router.add_static("/static/", STATIC)
    app.on_response_prepare.append(add_security_headers)
    app.cleanup_ctx.append(_services(settings, clock))
    app.cleanup_ctx.append(_exchange_feed)
    app.on_shutdown.append(_end_streams)
    return app


def _services(
    settings: Settings, clock: Callable[[], datetime]
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def open_clients(app: web.Application) -> AsyncIterator[None]:
        # Cookies of a service would be shared by all administrators: keep none.
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as stream_client,
        ):
            billing_http = ServiceHttp(
                service="billing", base_url=settings.billing_url, token=settings.service_token, client=client
            )
            exchange_http = ServiceHttp(
                service="exchange",
                base_url=settings.exchange_url,
                token=settings.service_token,
                client=client,
            )
            app[BILLING] = BillingClient(billing_http)
            app[BILLING_INFO] = BillingInfo(app[BILLING], clock)
            app[EXCHANGE] = ExchangeClient(exchange_http, stream_client=stream_client)
            yield

    return open_clients


async def _exchange_feed(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(follow_exchange(app[EXCHANGE], app[BOARD]), name="exchange feed")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _end_streams(app: web.Application) -> None:
    app[BOARD].close()

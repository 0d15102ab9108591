"""The control API: what operators and the admin console see and do (`docs/api/control.md`)."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from sip_proxy.adapters.event_hub import EventHub, Subscription, encode_event
from sip_proxy.adapters.exchange_view import Json, call_document, registration_document
from sip_proxy.adapters.instants import rfc3339
from sip_proxy.adapters.metrics import CONTENT_TYPE, Metrics
from sip_proxy.core.outputs import LiveCall, Registration

_OPEN_PATHS = frozenset({"/health", "/metrics"})
_KEEP_ALIVE_S = 15.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the exchange can switch and bill calls."""

    is_ready: bool
    directory_version: int
    is_journal_available: bool
    undelivered_records: int


@dataclass(frozen=True, slots=True)
class Information:
    """What the exchange is, and where it listens (`udp:127.0.0.1:5060`)."""

    version: str
    domain: str
    listening: tuple[str, ...]
    started_at: float


class Exchange(Protocol):
    """The exchange, as its control API uses it."""

    def health(self) -> Health:
        """Tell how it is."""

    def information(self) -> Information:
        """Tell what it is."""

    def live_calls(self) -> list[LiveCall]:
        """List the calls that are being set up or talked on."""

    def registrations(self) -> list[Registration]:
        """List all bindings."""

    def end_call(self, call_id: str) -> bool:
        """End a live call; False when there is none with this id."""


_EXCHANGE = web.AppKey("exchange", Exchange)
_EVENTS = web.AppKey("events", EventHub)
_METRICS = web.AppKey("metrics", Metrics)
_SERVICE_TOKEN = web.AppKey("service_token", str)


def make_control_api(
    exchange: Exchange, *, events: EventHub, metrics: Metrics, service_token: str
) -> web.Application:
    """Build the application that serves the control API."""
    app = web.Application(middlewares=[_problem_middleware, _token_middleware])
    app[_EXCHANGE] = exchange
    app[_EVENTS] = events
    app[_METRICS] = metrics
    app[_SERVICE_TOKEN] = service_token
    app.router.add_get("/health", _get_health)
    app.router.add_get("/metrics", _get_metrics)
    app.router.add_get("/v1/info", _get_info)
    app.router.add_get("/v1/registrations", _get_registrations)
    app.router.add_get("/v1/calls", _get_calls)
    app.router.add_delete("/v1/calls/{id}", _delete_call)
    app.router.add_get("/v1/events", _get_events)
    # On shutdown, not on cleanup: that waits until open responses have ended.
    app.on_shutdown.append(_let_watchers_go)
    return app


async def _let_watchers_go(app: web.Application) -> None:
    app[_EVENTS].close()


def problem(status: int, title: str, detail: str) -> web.Response:
    """Make an error answer (RFC 9457)."""
    return web.json_response(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )


@web.middleware
async def _problem_middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = problem(error.status, error.reason, f"{request.method} {request.path}: {error.reason}")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


@web.middleware
async def _token_middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if request.path not in _OPEN_PATHS:
        wanted = f"Bearer {request.app[_SERVICE_TOKEN]}".encode()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            answer = problem(401, "Unauthorized", "Send Authorization: Bearer with the service token.")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
    return await handler(request)


async def _get_health(request: web.Request) -> web.Response:
    health = request.app[_EXCHANGE].health()
    return web.json_response(
        {
            "status": "ok" if health.is_ready else "starting",
            "directory_version": health.directory_version,
            "journal": "ok" if health.is_journal_available else "failed",
            "undelivered_records": health.undelivered_records,
        },
        status=200 if health.is_ready else 503,
    )


async def _get_metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[_METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


async def _get_info(request: web.Request) -> web.Response:
    information = request.app[_EXCHANGE].information()
    return web.json_response(
        {
            "name": "sip_proxy",
            "version": information.version,
            "domain": information.domain,
            "listening": list(information.listening),
            "started_at": rfc3339(information.started_at),
        }
    )


async def _get_registrations(request: web.Request) -> web.Response:
    return web.json_response({"items": _registrations(request.app[_EXCHANGE])})


async def _get_calls(request: web.Request) -> web.Response:
    return web.json_response({"items": _calls(request.app[_EXCHANGE])})


async def _delete_call(request: web.Request) -> web.Response:
    call_id = request.match_info["id"]
    if not request.app[_EXCHANGE].end_call(call_id):
        return problem(404, "Not Found", f"There is no live call {call_id}.")
    return web.Response(status=202)


async def _get_events(request: web.Request) -> web.StreamResponse:
    exchange = request.app[_EXCHANGE]
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    # Subscribed before the snapshot is taken, with nothing awaited between: no change falls through.
    with request.app[_EVENTS].subscribe() as subscription:
        snapshot = {"calls": _calls(exchange), "registrations": _registrations(exchange)}
        sending = asyncio.ensure_future(
            _send_events(response, subscription, encode_event("snapshot", snapshot))
        )
        over = asyncio.ensure_future(subscription.over.wait())
        try:
            await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, over):
                task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
    if subscription.fell_behind and request.transport is not None:
        # The connection of such a watcher is full: not even the end of the stream would get through.
        request.transport.abort()
    return response


async def _send_events(response: web.StreamResponse, subscription: Subscription, first: bytes) -> None:
    await response.write(first)
    while True:
        try:
            async with asyncio.timeout(_KEEP_ALIVE_S):
                event = await subscription.next()
        except TimeoutError:
            event = b": still here\n\n"
        await response.write(event)


def _calls(exchange: Exchange) -> list[Json]:
    return [call_document(call) for call in exchange.live_calls()]


def _registrations(exchange: Exchange) -> list[Json]:
    return [registration_document(registration) for registration in exchange.registrations()]

"""`/health`, `/metrics`, `/v1/info` and `/v1/state`: the exchange as a whole."""

from aiohttp import web

from sip_proxy.adapters.control.exchange import EVENTS, EXCHANGE, METRICS, ControlledExchange
from sip_proxy.adapters.control.http import BadBody, read_object
from sip_proxy.adapters.exchange_view import Json
from sip_proxy.adapters.instants import rfc3339, rfc3339_or_none
from sip_proxy.adapters.metrics import CONTENT_TYPE

_STATE_FIELDS = frozenset({"online", "drain_minutes"})
_LONGEST_DRAIN_MINUTES = 24 * 60


async def get_health(request: web.Request) -> web.Response:
    """Tell how the exchange is."""
    health = request.app[EXCHANGE].health()
    return web.json_response(
        {
            "status": "ok" if health.is_ready else "starting",
            "directory_version": health.directory_version,
            "journal": "ok" if health.is_journal_available else "failed",
            "undelivered_records": health.undelivered_records,
        },
        status=200 if health.is_ready else 503,
    )


async def get_metrics(request: web.Request) -> web.Response:
    """Tell everything that is counted."""
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


async def get_info(request: web.Request) -> web.Response:
    """Tell what the exchange is."""
    information = request.app[EXCHANGE].information()
    return web.json_response(
        {
            "name": "sip_proxy",
            "version": information.version,
            "domain": information.domain,
            "listening": list(information.listening),
            "started_at": rfc3339(information.started_at),
        }
    )


async def get_state(request: web.Request) -> web.Response:
    """Tell whether calls are taken, and within which limits."""
    return web.json_response(state_document(request.app[EXCHANGE]))


async def put_state(request: web.Request) -> web.Response:
    """Take the exchange offline, with or without a drain time, or online again."""
    exchange = request.app[EXCHANGE]
    body = await read_object(request, fields=_STATE_FIELDS)
    online, minutes = body.get("online"), body.get("drain_minutes")
    if not isinstance(online, bool):
        raise BadBody("online should be true or false.")
    if online:
        if minutes is not None:
            raise BadBody("drain_minutes goes with online: false.")
        exchange.go_online()
    else:
        exchange.go_offline(_drain_s(minutes))
    state = state_document(exchange)
    request.app[EVENTS].publish("state", state)
    return web.json_response(state)


def _drain_s(minutes: object) -> float | None:
    if minutes is None:
        return None
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise BadBody("drain_minutes should be a number, or null to let calls in progress go on.")
    if not 0 <= minutes <= _LONGEST_DRAIN_MINUTES:
        raise BadBody(f"drain_minutes should be from 0 to {_LONGEST_DRAIN_MINUTES}.")
    return minutes * 60.0


def state_document(exchange: ControlledExchange) -> Json:
    """Write the state of the exchange."""
    state = exchange.state()
    remaining_s = state.drain_remaining_s
    return {
        "online": state.is_online,
        "drain_ends_at": rfc3339_or_none(state.drain_ends_at),
        "drain_remaining_s": None if remaining_s is None else round(remaining_s, 1),
        "live_calls": state.live_calls,
        "concurrent_call_limit": state.concurrent_call_limit,
        "emergency_numbers": list(state.emergency_numbers),
        "ring_time_s": state.ring_time_s,
    }

"""The application that serves the control API."""

from aiohttp import web

from sip_proxy.adapters.control.call_handlers import delete_call, delete_calls, get_calls, get_ladder
from sip_proxy.adapters.control.event_stream import get_events
from sip_proxy.adapters.control.exchange import EVENTS, EXCHANGE, METRICS, SERVICE_TOKEN, ControlledExchange
from sip_proxy.adapters.control.exchange_handlers import (
    get_health,
    get_info,
    get_metrics,
    get_state,
    put_state,
)
from sip_proxy.adapters.control.http import problem_middleware, token_middleware
from sip_proxy.adapters.control.phone_handlers import (
    get_phone_tests,
    get_registrations,
    post_phone_reset,
    post_phone_test,
    post_phone_tests,
)
from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.metrics import Metrics

_LARGEST_BODY = 64 * 1024


def make_control_api(
    exchange: ControlledExchange, *, events: EventHub, metrics: Metrics, service_token: str
) -> web.Application:
    """Build the application that serves the control API."""
    app = web.Application(middlewares=[problem_middleware, token_middleware], client_max_size=_LARGEST_BODY)
    app[EXCHANGE] = exchange
    app[EVENTS] = events
    app[METRICS] = metrics
    app[SERVICE_TOKEN] = service_token
    app.add_routes(
        [
            web.get("/health", get_health),
            web.get("/metrics", get_metrics),
            web.get("/v1/info", get_info),
            web.get("/v1/state", get_state),
            web.put("/v1/state", put_state),
            web.get("/v1/registrations", get_registrations),
            web.get("/v1/calls", get_calls),
            web.delete("/v1/calls", delete_calls),
            web.delete("/v1/calls/{id}", delete_call),
            web.get("/v1/calls/{id}/ladder", get_ladder),
            web.get("/v1/phone-tests", get_phone_tests),
            web.post("/v1/phone-tests", post_phone_tests),
            web.post("/v1/phones/{number}/test", post_phone_test),
            web.post("/v1/phones/{number}/reset", post_phone_reset),
            web.get("/v1/events", get_events),
        ]
    )
    # On shutdown, not on cleanup: that waits until open responses have ended.
    app.on_shutdown.append(_let_watchers_go)
    return app


async def _let_watchers_go(app: web.Application) -> None:
    app[EVENTS].close()

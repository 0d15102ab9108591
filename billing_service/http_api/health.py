"""Whether the service can work, and with what: for whoever starts and watches it."""

from http import HTTPStatus
from typing import Final, Literal, TypeVar

from aiohttp import web
from sqlalchemy import text

from billing_service.durations import Seconds
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.intake import BROKER
from billing_service.http_api.operations import Operations
from billing_service.http_api.services import services
from billing_service.storage.unit_of_work import DatabaseUnavailable, Work
from billing_service.storage.waiting_events import count_waiting

HEALTH_TIMEOUT_S: Final[Seconds] = 2.0
METRICS: Final = "text/plain"

operations = Operations("system")

T = TypeVar("T")
Availability = Literal["ok", "away"]


class HealthAnswer(AnswerModel):
    """Whether the service can work. `degraded`: it can, but call events are refused and events wait.

    `broker` is null where none is configured.
    """

    status: Literal["ok", "degraded", "unavailable"]
    database: Availability
    broker: Availability | None


@operations.get("/health", scope=None, answer=HealthAnswer, also=(HTTPStatus.SERVICE_UNAVAILABLE,))
async def get_health(request: web.Request) -> web.Response:
    """Tell whether the service can work; needs no token."""
    reachable = await _ask_database(request, lambda session: session.scalar(text("SELECT 1"))) is not None
    broker = request.app.get(BROKER)
    broker_is_away = broker is not None and not broker.connected.is_set()
    answer = HealthAnswer(
        status="unavailable" if not reachable else "degraded" if broker_is_away else "ok",
        database="ok" if reachable else "away",
        broker=None if broker is None else "away" if broker_is_away else "ok",
    )
    return web.json_response(answer.model_dump(), status=200 if reachable else 503)


@operations.get("/metrics", scope=None, produces=(METRICS,))
async def get_metrics(request: web.Request) -> web.Response:
    """Tell the same as figures, in the text format of Prometheus; needs no token."""
    waiting = await _ask_database(request, count_waiting)
    broker = request.app.get(BROKER)
    figures = [("database_available", "Whether the database answers.", int(waiting is not None))]
    if broker is not None:
        figures.append(
            ("broker_connected", "Whether the broker is connected.", int(broker.connected.is_set()))
        )
        if waiting is not None:
            figures.append(("events_waiting", "Events that wait to be sent to the broker.", waiting))
    lines = [
        line
        for name, meaning, value in figures
        for line in (
            f"# HELP tollbell_billing_{name} {meaning}",
            f"# TYPE tollbell_billing_{name} gauge",
            f"tollbell_billing_{name} {value}",
        )
    ]
    return web.Response(
        text="\n".join(lines) + "\n",
        headers={"Content-Type": f"{METRICS}; version=0.0.4; charset=utf-8"},
    )


async def _ask_database(request: web.Request, work: Work[T]) -> T | None:
    """Return None when the database is away."""
    try:
        return await services(request).database.run(work, within_s=HEALTH_TIMEOUT_S)
    except DatabaseUnavailable:
        return None

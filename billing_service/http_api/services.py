"""What every request handler may use, under one typed key of the application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from billing_service.settings import Settings
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.rate_call import CompiledPlans


@dataclass(frozen=True, slots=True)
class Services:
    """The application's parts. `now` is the only clock that handlers may read."""

    settings: Settings
    database: Database
    plans: CompiledPlans
    now: Callable[[], datetime]
    started_at: datetime


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """Return the parts of the application that serves this request."""
    return request.app[SERVICES]


def actor(request: web.Request) -> str:
    """Return for whom the caller acts, for the audit log; `service` when it acts for itself."""
    name = request.headers.get("Tollbell-Actor", "").strip()[:100]
    return name if name.isprintable() and name else "service"

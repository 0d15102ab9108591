"""What every request handler may use, under one typed key of the application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from billing_service.http_api.caller import caller
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
    """Return who the audit log says did it: an administrator's login, `token NAME`, or `service`."""
    return caller(request).name

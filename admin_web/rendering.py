"""Jinja: the environment, and what every page knows."""

import hashlib
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiohttp_jinja2
import jinja2
from aiohttp import web

from admin_web.access import CSRF_FIELD
from admin_web.keys import BILLING_INFO, BOARD, CLOCK, SESSION, SESSIONS
from admin_web.service_http import NotFound, RequestRefused, ServiceAway, ServiceError

Value = TypeVar("Value")

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class NavigationItem:
    path: str
    icon: str
    title: str


NAVIGATION = {
    "Exchange": (
        NavigationItem("/", "overview", "Overview"),
        NavigationItem("/live", "live", "Live calls"),
        NavigationItem("/phones", "phone", "Phones"),
    ),
    "Billing": (
        NavigationItem("/customers", "customers", "Customers"),
        NavigationItem("/accounts", "account", "Accounts"),
        NavigationItem("/calls", "calls", "Calls"),
        NavigationItem("/bills", "bill", "Bills"),
    ),
    "System": (NavigationItem("/errors", "error", "Errors"),),
}


@dataclass(frozen=True, slots=True)
class Part(Generic[Value]):
    """A part of a page that a service provides: the value, or why there is none."""

    value: Value | None
    problem: str = ""
    retry: bool = False
    billing_away: bool = False
    """Billing, which most of the console is about, can't be reached or can't work now."""


async def fetch_part(request: Awaitable[Value]) -> Part[Value]:
    """Wait for a service. A service that is away costs the page this part only; NotFound is raised on."""
    try:
        return Part(await request)
    except NotFound:
        raise
    except ServiceError as error:
        return Part(
            None,
            problem=str(error),
            retry=not isinstance(error, RequestRefused),
            billing_away=isinstance(error, ServiceAway) and error.service == "billing",
        )


def set_up_templates(app: web.Application) -> None:
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["asset"] = asset
    environment.filters["pretty_json"] = _pretty_json


@cache
def asset(name: str) -> str:
    """The address of one of our static files, with a fingerprint so that browsers may keep it for ever."""
    if name.startswith("vendor/"):
        return f"/static/{name}"
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


async def render(
    request: web.Request, template: str, context: dict[str, Any], *, status: int = 200
) -> web.Response:
    """A page. It tells at its top which `Part`s in the context failed, and tries again by itself.

    A page that lacks a part because billing is away is a 503: who watches from outside must not take it
    for whole.
    """
    parts = [value for value in context.values() if isinstance(value, Part)]
    shared = await shared_context(request)
    shared["problems"] = list(dict.fromkeys(part.problem for part in parts if part.problem))
    shared["retry"] = any(part.retry for part in parts)
    if status == 200 and any(part.billing_away for part in parts):
        status = 503
    return aiohttp_jinja2.render_template(template, request, {**shared, **context}, status=status)


async def render_fragment(request: web.Request, template: str, context: dict[str, Any]) -> str:
    """A piece of a page, for a stream or for a part that is exchanged."""
    return aiohttp_jinja2.render_string(template, request, {**await shared_context(request), **context})


async def shared_context(request: web.Request) -> dict[str, Any]:
    session = request.get(SESSION)
    sessions = request.app[SESSIONS]
    return {
        "session": session,
        "csrf_field": CSRF_FIELD,
        "csrf_token": session.csrf_token if session else "",
        "idle_remaining_ms": int(sessions.remaining(session).total_seconds() * 1000) if session else 0,
        "fmt": await request.app[BILLING_INFO].formats(),
        "now": request.app[CLOCK](),
        "board": request.app[BOARD],
        "navigation": NAVIGATION,
        "path": request.path,
        "path_qs": request.path_qs,
    }


def _pretty_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)

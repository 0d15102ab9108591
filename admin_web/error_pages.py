"""Errors become pages that say what is wrong and what to do."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from admin_web.rendering import render
from admin_web.service_http import NotFound, RequestRefused, ServiceAway, ServiceError

log = structlog.stdlib.get_logger(__name__)

TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    413: "Too large",
    429: "Too many attempts",
    500: "Something went wrong",
    502: "A service failed",
    503: "A service is away",
}


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text if error.status != 404 and error.text else ""
        return await _error_page(request, error.status, text or _default_text(error.status))
    except ServiceError as error:
        status = _status_of(error)
        if status != 404:
            log.warning("service_problem", service=error.service, problem=str(error), path=request.path)
        return await _error_page(request, status, str(error), retry=isinstance(error, ServiceAway))
    except Exception:
        log.exception("page_failed", path=request.path)
        return await _error_page(request, 500, _default_text(500))


def _status_of(error: ServiceError) -> int:
    match error:
        case NotFound():
            return 404
        case ServiceAway():
            return 503
        case RequestRefused():
            return error.status
        case _:
            return 502


def _default_text(status: int) -> str:
    match status:
        case 404:
            return "There is no such page."
        case 405:
            return "This page can't be used that way."
        case 500:
            return "This page_failed. The console's log says why."
        case _:
            return "The request could not be carried out."


async def _error_page(
    request: web.Request, status: int, text: str, *, retry: bool = False
) -> web.StreamResponse:
    title = TITLES.get(status, "Not possible")
    wants_page = "text/html" in request.headers.get("Accept", "") or "HX-Request" in request.headers
    if not wants_page or request.path.startswith("/static/"):
        return web.Response(status=status, text=f"{title}: {text}\n")
    context = {
        "title": title,
        "status": status,
        "text": text,
        "try_again": retry and request.method == "GET",
        "links": [],
    }
    return await render(request, "error.html", context, status=status)

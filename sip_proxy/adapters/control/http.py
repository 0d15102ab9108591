"""What every answer of the control API has in common: problems, the token, and how bodies are read."""

import hmac
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from sip_proxy.adapters.control.exchange import SERVICE_TOKEN

_OPEN_PATHS = frozenset({"/health", "/metrics"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadBody(Exception):
    """The body of a request can't be used; the text says why."""


def problem(status: int, title: str, detail: str) -> web.Response:
    """Make an error answer (RFC 9457)."""
    return web.json_response(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal into a problem document."""
    try:
        return await handler(request)
    except BadBody as error:
        return problem(422, "Unprocessable Content", str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = problem(error.status, error.reason, f"{request.method} {request.path}: {error.reason}")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


@web.middleware
async def token_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only services pass; health and metrics are for everyone."""
    if request.path not in _OPEN_PATHS:
        wanted = f"Bearer {request.app[SERVICE_TOKEN]}".encode()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            answer = problem(401, "Unauthorized", "Send Authorization: Bearer with the service token.")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
    return await handler(request)


async def read_object(request: web.Request, *, fields: frozenset[str]) -> dict[str, object]:
    """Read a JSON object that has no other fields than these. Raises BadBody."""
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError):
        raise BadBody("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadBody("The body should be a JSON object.")
    if unknown := sorted(set(body) - fields):
        raise BadBody(f"Unknown field {unknown[0]!r}; there are {', '.join(sorted(fields))}.")
    return body

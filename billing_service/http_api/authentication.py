"""The bearer token that all calls but the health check carry (RFC 6750)."""

import hmac
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from billing_service.http_api.problems import Problem

PUBLIC_PATHS = frozenset({"/health"})


def token_middleware(token: str) -> Middleware:
    """Return a middleware that refuses requests without the token, in the same time for any wrong one."""
    wanted = token.encode()

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PUBLIC_PATHS:
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Header bytes that are no UTF-8 come as surrogates.
        shown = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown, wanted):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "This needs the service token: Authorization: Bearer …",
                headers={"WWW-Authenticate": 'Bearer realm="tollbell"'},
            )
        return await handler(request)

    return check_token

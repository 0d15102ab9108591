"""Who sends a request: the service itself, an administrator through it, or a program (RFC 6750)."""

import hmac
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from billing_service.domain.permissions import ALL_SCOPES, scopes_of
from billing_service.errors import Forbidden
from billing_service.http_api.caller import CALLER, Caller
from billing_service.http_api.operations import operation_of
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import services
from billing_service.http_api.token_check import TOKENS
from billing_service.use_cases.administrators import SERVICE_NAME, find_role
from billing_service.use_cases.api_tokens import looks_like_token

ACTOR = "Tollbell-Actor"
LONGEST_ACTOR = 100
SERVICE = Caller(SERVICE_NAME, ALL_SCOPES)


def authentication(service_token: str) -> Middleware:
    """Return a middleware that notes who sends a request and refuses strangers.

    The service token is compared in the same time whatever is wrong with it.
    """
    wanted = service_token.encode()

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = operation_of(request)
        if operation is not None and operation.scope is None:
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Header bytes that are no UTF-8 come as surrogates.
        shown = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer":
            raise _unknown()
        if hmac.compare_digest(shown, wanted):
            request[CALLER] = await _service_or_administrator(request)
        else:
            request[CALLER] = await _program(request, shown)
        return await handler(request)

    return authenticate


async def _service_or_administrator(request: web.Request) -> Caller:
    # Bytes that are no UTF-8 come as surrogates, which no login has and no database holds.
    given = request.headers.get(ACTOR, "").strip().encode(errors="replace").decode()
    # As it is stored, for the audit log.
    login = unquote(given)[:LONGEST_ACTOR].lower()
    if not login:
        return SERVICE
    if not login.isprintable():
        raise Forbidden(f"{ACTOR} names no administrator.")
    role = await services(request).database.run(lambda session: find_role(session, login))
    if role is None:
        raise Forbidden(f"There is no active administrator {login}.")
    return Caller(login, scopes_of(role), administrator=True)


async def _program(request: web.Request, shown: bytes) -> Caller:
    if not looks_like_token(shown):
        raise _unknown()
    if ACTOR in request.headers:
        raise Forbidden(f"Only the service token acts for administrators; leave out {ACTOR}.")
    known = await request.app[TOKENS].check(services(request), shown)
    if known is None:
        raise _unknown()
    return known


def _unknown() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "This needs a token that is in force: Authorization: Bearer …",
        headers={"WWW-Authenticate": 'Bearer realm="tollbell"'},
    )

"""`POST /v1/login`: checks an administrator's password, slowly enough for those who guess."""

import asyncio
from collections import deque
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import StringConstraints

from billing_service.http_api.bodies import RequestModel, read_body
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import services
from billing_service.use_cases.administrators import LONGEST_PASSWORD, find_credentials, password_matches

MOST_FAILURES = 10
WITHIN = timedelta(minutes=1)
MOST_LOGINS_REMEMBERED = 10_000

log = structlog.get_logger(__name__)

routes = web.RouteTableDef()


class LoginBody(RequestModel):
    """Who wants to sign in."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PASSWORD)]


class FailedLogins:
    """When each login failed of late. Forgets what is over, and the oldest when there are too many."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[datetime]] = {}

    def wait_s(self, login: str, now: datetime) -> int:
        """Return how many seconds the login has to wait; 0 when it may try."""
        failures = self._failures.get(login)
        if failures is None:
            return 0
        while failures and failures[0] <= now - WITHIN:
            failures.popleft()
        if len(failures) < MOST_FAILURES:
            return 0
        return int((failures[0] + WITHIN - now).total_seconds()) + 1

    def note(self, login: str, now: datetime) -> None:
        """Note a failure. It counts from the attempt, before its outcome is known: see `forget`."""
        failures = self._failures.pop(login, deque())
        failures.append(now)
        self._failures[login] = failures
        if len(self._failures) > MOST_LOGINS_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def forget(self, login: str) -> None:
        """Forget the failures of a login that has succeeded."""
        self._failures.pop(login, None)


FAILED_LOGINS = web.AppKey("failed_logins", FailedLogins)
# Argon2 takes a good part of a second and 64 MB: guessers must not get all the threads.
HASHING = web.AppKey("hashing", asyncio.Semaphore)
MOST_AT_ONCE = 2


@routes.post("/v1/login")
async def post_login(request: web.Request) -> web.Response:
    """Answer with the administrator when the password is right."""
    body = await read_body(request, LoginBody)
    parts, failed, now = services(request), request.app[FAILED_LOGINS], services(request).now()
    login = body.login.lower()
    wait_s = failed.wait_s(login, now)
    if wait_s:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Too many wrong passwords for this login; try again in {wait_s} s.",
            headers={"Retry-After": str(wait_s)},
        )
    # Counted first: a hundred guesses at once must not all pass the check above.
    failed.note(login, now)
    credentials = await parts.database.run(lambda session: find_credentials(session, login))
    async with request.app[HASHING]:
        matches = await parts.database.in_thread(lambda: password_matches(credentials, body.password))
    if not matches:
        log.warning("login_failed", login=login)
        raise Problem(HTTPStatus.UNAUTHORIZED, "Login or password is wrong.")
    failed.forget(login)
    return web.json_response({"login": credentials.login, "name": credentials.name, "role": credentials.role})

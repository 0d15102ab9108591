"""`POST /v1/login`: checks an administrator's password, slowly enough for those who guess."""

import asyncio
import ipaddress
from collections import deque
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import StringConstraints

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Role, Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.operations import Operations
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import services
from billing_service.use_cases.administrators import (
    LONGEST_PASSWORD,
    Credentials,
    find_credentials,
    password_matches,
)

CLIENT_ADDRESS = "Tollbell-Client-Address"
MOST_FAILURES_FROM_ONE_PLACE = 10
MOST_FAILURES_FROM_ANYWHERE = 100
WITHIN = timedelta(minutes=1)
MOST_REMEMBERED = 10_000

log = structlog.get_logger(__name__)

operations = Operations("administrators")


class LoginBody(RequestModel):
    """Who wants to sign in."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PASSWORD)]


class RecentFailures:
    """When each key failed of late. Forgets what is over, and the oldest when there are too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._failures: dict[str, deque[datetime]] = {}

    def wait_s(self, key: str, now: datetime) -> int:
        """Return how many seconds the key has to wait; 0 when it may try."""
        failures = self._failures.get(key)
        if failures is None:
            return 0
        while failures and failures[0] <= now - WITHIN:
            failures.popleft()
        if len(failures) < self._most:
            return 0
        return int((failures[0] + WITHIN - now).total_seconds()) + 1

    def note(self, key: str, now: datetime) -> None:
        """Note a failure. It counts from the attempt, before its outcome is known: see `forget`."""
        failures = self._failures.pop(key, deque())
        failures.append(now)
        self._failures[key] = failures
        if len(self._failures) > MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def forget(self, key: str) -> None:
        """Forget the failures of a key that has succeeded."""
        self._failures.pop(key, None)


class FailedLogins:
    """Limits guesses per login and place, so that nobody locks an administrator out from elsewhere.

    A much higher limit per login alone, from wherever, stops those who guess from many places.
    """

    def __init__(self) -> None:
        self._from_one_place = RecentFailures(MOST_FAILURES_FROM_ONE_PLACE)
        self._from_anywhere = RecentFailures(MOST_FAILURES_FROM_ANYWHERE)

    def wait_s(self, login: str, place: str, now: datetime) -> int:
        """Return how many seconds the login has to wait at this place; 0 when it may try."""
        return max(
            self._from_one_place.wait_s(_key(login, place), now), self._from_anywhere.wait_s(login, now)
        )

    def note(self, login: str, place: str, now: datetime) -> None:
        """Note a failure. It counts from the attempt, before its outcome is known: see `forget`."""
        self._from_one_place.note(_key(login, place), now)
        self._from_anywhere.note(login, now)

    def forget(self, login: str, place: str) -> None:
        """Forget the failures of a login that has succeeded at a place."""
        self._from_one_place.forget(_key(login, place))
        self._from_anywhere.forget(login)


def place_of(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 of an IPv6 address, which one host has.

    Raises ValueError for what is no address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))
    return str(parsed)


def _place(request: web.Request) -> str:
    # Who has the service token may say for whom he asks.
    given = request.headers.get(CLIENT_ADDRESS)
    try:
        return place_of(given or request.remote or "")
    except ValueError as error:
        if given:
            raise InvalidFields.one(CLIENT_ADDRESS, "an IP address is expected") from error
        return "unknown"


def _key(login: str, place: str) -> str:
    return f"{place} {login}"


FAILED_LOGINS = web.AppKey("failed_logins", FailedLogins)
# Argon2 takes a good part of a second and 64 MB: guessers must not get all the threads.
HASHING = web.AppKey("hashing", asyncio.Semaphore)
MOST_AT_ONCE = 2


class SignedInAnswer(AnswerModel):
    """The administrator whose password it is."""

    login: str
    name: str
    role: Role


@operations.post("/v1/login", scope=Scope.SIGN_IN, refuses=(HTTPStatus.TOO_MANY_REQUESTS,))
async def post_login(request: web.Request, body: LoginBody) -> SignedInAnswer:
    """Answer with the administrator when the password is right."""
    credentials = await require_password(request, body.login, body.password)
    return SignedInAnswer(login=credentials.login, name=credentials.name, role=Role(credentials.role))


async def require_password(request: web.Request, given_login: str, password: str) -> Credentials:
    """Return the administrator whose password it is.

    Raises Problem when it is wrong (401), or there were too many wrong ones (429).
    """
    parts, failed, now = services(request), request.app[FAILED_LOGINS], services(request).now()
    login = given_login.lower()
    place = _place(request)
    wait_s = failed.wait_s(login, place, now)
    if wait_s:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Too many wrong passwords for this login; try again in {wait_s} s.",
            headers={"Retry-After": str(wait_s)},
        )
    # Counted first: a hundred guesses at once must not all pass the check above.
    failed.note(login, place, now)
    credentials = await parts.database.run(lambda session: find_credentials(session, login))
    async with request.app[HASHING]:
        matches = await parts.database.in_thread(lambda: password_matches(credentials, password))
    if not matches:
        log.warning("login_failed", login=login, place=place)
        raise Problem(HTTPStatus.UNAUTHORIZED, "Login or password is wrong.")
    failed.forget(login, place)
    return credentials

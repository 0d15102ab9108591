"""What a request's headers demand: `If-Match` of an edit, `Idempotency-Key` of a write that moves money."""

import re
from http import HTTPStatus

from aiohttp import web

from billing_service.domain.errors import InvalidFields
from billing_service.http_api.caller import caller
from billing_service.http_api.problems import Problem

IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 200
_ENTITY_TAGS = re.compile(r'(?:(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*|$))+', re.ASCII)
_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"', re.ASCII)
_TAG = web.RequestKey("entity_tag", str)


def expected_versions(request: web.Request) -> frozenset[str] | None:
    """Return the row versions of which one must still be stored (RFC 9110 §13.1.1); None: whatever it is.

    Who acts for an administrator must say what that person has seen, so that two of them can't overwrite
    each other unknowingly; other programs may. Raises Problem (428, 422).
    """
    if "If-Match" not in request.headers:
        if caller(request).administrator:
            raise Problem(
                HTTPStatus.PRECONDITION_REQUIRED,
                "An edit for an administrator needs If-Match, with the ETag of what he has read.",
            )
        return None
    given = request.headers["If-Match"].strip()
    if given == "*":
        return None
    if not _ENTITY_TAGS.fullmatch(given):
        raise InvalidFields.one("If-Match", 'entity tags such as "3", or *, are expected')
    # A weak tag never matches here (RFC 9110 §13.1.1).
    return frozenset(match[2] for match in _ENTITY_TAG.finditer(given) if not match[1])


def tag_answer(request: web.Request, version: str | int) -> None:
    """Give the answer to this request an ETag: the version of what can be edited of what it shows."""
    request[_TAG] = str(version)


def entity_tag(request: web.Request) -> str | None:
    """Return the ETag that the answer is to have, if any."""
    version = request.get(_TAG)
    return None if version is None else f'"{version}"'


def idempotency_key(request: web.Request) -> str:
    """Return the request's Idempotency-Key; raise InvalidFields when it has none that will do."""
    key = request.headers.get(IDEMPOTENCY_KEY, "")
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidFields.one(
            IDEMPOTENCY_KEY,
            f"a write that moves money needs this header: 1 to {LONGEST_KEY} characters that it alone has",
        )
    return key

"""Errors as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import IntegrityError

from billing_service.broker import BrokerUnavailable
from billing_service.domain.errors import DomainError, FieldProblem, InvalidFields
from billing_service.errors import Conflict, Forbidden, NotFound, Stale
from billing_service.storage.unit_of_work import DatabaseUnavailable

log = structlog.get_logger(__name__)


class Problem(Exception):
    """A refusal with its HTTP status; `errors` names every wrong field."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Iterable[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers or {}

    def response(self) -> web.Response:
        """Return the answer that tells the client."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [
                {"field": error.field, "message": error.message}
                | ({} if error.line is None else {"line": error.line})
                for error in self.errors
            ]
        return web.Response(
            status=self.status.value,
            body=json.dumps(body).encode(),
            content_type="application/problem+json",
            headers=self.headers,
        )


def invalid(problems: Iterable[FieldProblem]) -> Problem:
    """Return the refusal of a request whose fields don't validate."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The request has fields that can't be accepted.", errors=problems
    )


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error on the way into an answer of this form; nothing internal reaches the client."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _from_aiohttp(error).response()
    except NotFound as error:
        return Problem(HTTPStatus.NOT_FOUND, str(error)).response()
    except Forbidden as error:
        return Problem(HTTPStatus.FORBIDDEN, str(error)).response()
    except Stale as error:
        return Problem(HTTPStatus.PRECONDITION_FAILED, str(error)).response()
    except Conflict as error:
        return Problem(HTTPStatus.CONFLICT, str(error)).response()
    except InvalidFields as error:
        return invalid(error.problems).response()
    except DomainError as error:
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)).response()
    except IntegrityError as error:
        # The checks before the write let it pass, so somebody else's change came between.
        log.warning("request_conflict", path=request.path, reason=str(error.orig).splitlines()[0])
        return Problem(
            HTTPStatus.CONFLICT, "This contradicts what is stored; it may have changed just now."
        ).response()
    except DatabaseUnavailable as error:
        log.warning("database_unavailable", path=request.path, reason=str(error))
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The database is away; try again in a moment.",
            headers={"Retry-After": "1"},
        ).response()
    except BrokerUnavailable as error:
        log.warning("broker_unavailable", path=request.path, reason=str(error))
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The broker is away; try again in a moment.",
            headers={"Retry-After": "1"},
        ).response()
    except Exception:
        log.exception("request_failed", method=request.method, path=request.path)
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; the log of the service tells what."
        ).response()


def _from_aiohttp(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(
                HTTPStatus.METHOD_NOT_ALLOWED, f"Allowed here: {allowed}.", headers={"Allow": allowed}
            )
        case web.HTTPRequestEntityTooLarge():
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
        case web.HTTPNotFound():
            return Problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
        case _:
            return Problem(HTTPStatus(error.status), error.reason)

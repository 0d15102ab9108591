"""Reads what a request says, into models that know every field; anything else is refused by name."""

import json
import math
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.http_api.problems import Problem, invalid
from billing_service.storage.storable_text import make_storable, unstorable_places

DEEPEST_BODY = 30  # levels; a plan's windows are at the sixth
LARGEST_BODY = 4 * 1024 * 1024  # bytes; 1,000 call records are about 0.6 MB


class RequestModel(BaseModel):
    """Base of all request bodies and queries: unknown fields and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class ChangesModel(RequestModel):
    """Base of edits, in which a field that is left out stays as it is, whatever default the model has."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


Model = TypeVar("Model", bound=RequestModel)


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Return the JSON body as a model; raise Problem (400, 413, 415, 422) when it is not one."""
    value = await read_json(request)
    problems = unstorable_texts(value)
    if problems:
        raise invalid(problems)
    return _validate(value, model)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the query string as a model, each field at most once; raise Problem (422) when it is not one."""
    repeated = [name for name in set(request.query) if len(request.query.getall(name)) > 1]
    if repeated:
        raise invalid(FieldProblem(name, "give it once") for name in sorted(repeated))
    value = dict(request.query)
    problems = unstorable_texts(value)
    if problems:
        raise invalid(problems)
    return _validate(value, model)


async def read_json(request: web.Request) -> Any:
    """Return the JSON body as Python values; raise Problem (400, 413, 415) when it is none."""
    if request.content_type != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    raw = await request.read()
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no UTF-8: {error.reason}.") from error
    except (ValueError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}.") from error
    if _depth_exceeds(value, DEEPEST_BODY):
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is nested too deeply.")
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    # Level by level, without recursion: what comes later may recurse safely.
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _validate(value: Any, model: type[Model]) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(describe(error)) from error


def describe(error: ValidationError) -> list[FieldProblem]:
    """Return what is wrong, field by field."""
    return [FieldProblem(_path(one["loc"]), _message(one)) for one in error.errors(include_url=False)]


def _message(details: ErrorDetails) -> str:
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, InvalidFields):
        return "; ".join(problem.message for problem in cause.problems)
    return details["msg"].removeprefix("Value error, ")


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return make_storable(path)


def unstorable_texts(value: Any) -> list[FieldProblem]:
    """Find texts that a database cannot hold: JSON can carry the NUL character and halves of characters."""
    return [
        FieldProblem(place, "it contains a character that is none") for place in unstorable_places(value, "")
    ]

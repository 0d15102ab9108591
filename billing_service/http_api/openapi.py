"""The OpenAPI 3.1 document of the operations, made from the types that they are declared with."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from billing_service.http_api.answers import ProblemAnswer
from billing_service.http_api.operations import NoQuery, Operation
from billing_service.http_api.preconditions import IDEMPOTENCY_KEY, LONGEST_KEY

JsonSchema = dict[str, Any]
_Mode = Literal["validation", "serialization"]
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = "application/problem+json"
_BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DESCRIPTION = (
    "The billing service of the Tollbell telephone exchange. Money is a decimal string in the billing "
    "currency; instants are RFC 3339 in UTC; lists come in pages with an opaque `cursor`; errors are problem "
    "documents (RFC 9457) that name every wrong field."
)


def make_document(operations: Iterable[Operation], *, title: str, version: str) -> dict[str, Any]:
    """Return the document of these operations, in their order."""
    documented = [operation for operation in operations if operation.documented]
    schemas, components = _schemas(documented)
    paths: dict[str, dict[str, Any]] = {}
    for operation in documented:
        path, _ = path_of(operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas, components)
    for name in {operation.query.__name__ for operation in documented}:
        components.pop(name, None)  # written out as parameters
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in documented)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The service token, or an API token with the scope of the operation.",
                }
            },
        },
    }


def path_of(path: str) -> tuple[str, dict[str, str]]:
    """Return an aiohttp path as OpenAPI writes it, and the pattern of each parameter in it.

    `/v1/plans/{id:[0-9]{1,18}}` is `/v1/plans/{id}` and `{"id": "^[0-9]{1,18}$"}`.
    """
    written, patterns = "", {}
    rest = path
    while rest:
        before, opened, rest = rest.partition("{")
        written += before
        if not opened:
            break
        depth, end = 1, 0
        while depth:
            depth += {"{": 1, "}": -1}.get(rest[end], 0)
            end += 1
        name, _, pattern = rest[: end - 1].partition(":")
        written += f"{{{name}}}"
        patterns[name] = f"^{pattern or '[^/]+'}$"
        rest = rest[end:]
    return written, patterns


def _schemas(
    operations: list[Operation],
) -> tuple[dict[tuple[str, _Mode], JsonSchema], dict[str, JsonSchema]]:
    """Return the schema of each operation's query, body and answer by `name part`, and what they refer to."""
    wanted = list(_adapters(operations))
    schemas, definitions = TypeAdapter.json_schemas(wanted, ref_template=_REFERENCE)
    _use_its_own_words([*schemas.values(), definitions])
    components: dict[str, JsonSchema] = definitions.get("$defs", {})
    return {(str(key), mode): schema for (key, mode), schema in schemas.items()}, components


def _use_its_own_words(value: Any) -> None:
    """Give the bounds of fields that are read by a function of ours the names that JSON Schema has for them.

    pydantic leaves them as they stand in `Field`.
    """
    if isinstance(value, dict):
        for name in value.keys() & _BOUNDS.keys():
            if not isinstance(value[name], dict):
                value[_BOUNDS[name]] = value.pop(name)
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _use_its_own_words(inner)


def _adapters(operations: list[Operation]) -> Iterator[tuple[str, _Mode, TypeAdapter[Any]]]:
    yield "problem", "serialization", TypeAdapter(ProblemAnswer)
    for operation in operations:
        if operation.query is not NoQuery:
            yield f"{operation.name} query", "validation", TypeAdapter(operation.query)
        if operation.body is not None:
            yield f"{operation.name} body", "validation", TypeAdapter(operation.body)
        if operation.answer is not None:
            yield f"{operation.name} answer", "serialization", TypeAdapter(operation.answer)


def _operation(
    operation: Operation,
    schemas: dict[tuple[str, _Mode], JsonSchema],
    components: dict[str, JsonSchema],
) -> dict[str, Any]:
    summary, _, description = (operation.handler.__doc__ or operation.name).strip().partition("\n\n")
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": " ".join(summary.split()),
    }
    if description:
        shown["description"] = "\n".join(line.strip() for line in description.splitlines())
    shown["security"] = [] if operation.scope is None else [{"token": [operation.scope.value]}]
    parameters = [*_path_parameters(operation), *_query_parameters(operation, schemas, components)]
    parameters += _header_parameters(operation)
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        schema = schemas[f"{operation.name} body", "validation"]
        shown["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif operation.consumes:
        shown["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": {"type": "string"}} for kind in operation.consumes},
        }
    shown["responses"] = _responses(operation, schemas)
    return shown


def _path_parameters(operation: Operation) -> Iterator[JsonSchema]:
    for name, pattern in path_of(operation.path)[1].items():
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _query_parameters(
    operation: Operation,
    schemas: dict[tuple[str, _Mode], JsonSchema],
    components: dict[str, JsonSchema],
) -> Iterator[JsonSchema]:
    if operation.query is NoQuery:
        return
    schema = schemas[f"{operation.name} query", "validation"]
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    for name, field in schema["properties"].items():
        parameter = {"name": name, "in": "query", "schema": _given(field)}
        if name in schema.get("required", ()):
            parameter["required"] = True
        yield parameter


def _given(field: JsonSchema) -> JsonSchema:
    """The schema of a field of a query when it is there: a query has no null."""
    field = {
        key: value for key, value in field.items() if key != "title" and (key, value) != ("default", None)
    }
    kinds = [kind for kind in field.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) > 1:
        field["anyOf"] = kinds
    return {**(kinds[0] if len(kinds) == 1 else {}), **field}


def _header_parameters(operation: Operation) -> Iterator[JsonSchema]:
    if operation.idempotent:
        yield {
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": True,
            "description": "The same again gets the first answer again, and nothing is done twice.",
            "schema": {"type": "string", "pattern": f"^[!-~]([ -~]{{0,{LONGEST_KEY - 2}}}[!-~])?$"},
        }
    if operation.if_match:
        yield {
            "name": "If-Match",
            "in": "header",
            "description": "The ETag of what was read. Required of who acts for an administrator.",
            "schema": {"type": "string", "pattern": r'^(\*|"[0-9.]{1,40}")$'},
        }


def _responses(operation: Operation, schemas: dict[tuple[str, _Mode], JsonSchema]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.answer is not None:
        content["application/json"] = {"schema": schemas[f"{operation.name} answer", "serialization"]}
    for kind in operation.produces:
        content[kind] = {"schema": {"type": "string"}}
    responses: dict[str, Any] = {}
    for status in (operation.status, *operation.also):
        good: dict[str, Any] = {"description": status.phrase}
        if content:
            good["content"] = content
        if operation.etag or operation.if_match:
            good["headers"] = {
                "ETag": {"description": "The version of what can be edited.", "schema": {"type": "string"}}
            }
        responses[str(status.value)] = good
    problem = {_PROBLEM: {"schema": schemas["problem", "serialization"]}}
    for status in sorted(_refusals(operation)):
        if str(status.value) not in responses:
            responses[str(status.value)] = {"description": status.phrase, "content": problem}
    return responses


def _refusals(operation: Operation) -> set[HTTPStatus]:
    refusals = {HTTPStatus.SERVICE_UNAVAILABLE, *operation.refuses}
    if operation.scope is not None:
        refusals |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
    if "{" in operation.path:
        refusals.add(HTTPStatus.NOT_FOUND)
    if operation.body is not None or operation.consumes:
        refusals |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    if operation.method in _WRITES:
        refusals.add(HTTPStatus.CONFLICT)
    if operation.if_match:
        refusals |= {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED}
    return refusals

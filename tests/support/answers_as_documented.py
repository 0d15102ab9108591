"""Holds every answer of a billing service under test against its own OpenAPI document."""

import json
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import jsonschema_rs
from aiohttp import web

from billing_service.http_api.openapi import make_document, path_of
from billing_service.http_api.operations import OPERATIONS, Operation, operation_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def as_documented(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise when an answer's status, media type or body is none that the document has."""
    response = await handler(request)
    operation = operation_of(request)
    if operation is not None and operation.documented:
        _check(tuple(request.app[OPERATIONS]), operation, response)
    return response


def _check(operations: tuple[Operation, ...], operation: Operation, response: web.StreamResponse) -> None:
    described = _responses(operations, operation.path, operation.method)
    said = f"{operation.method} {operation.path} answered {response.status}"
    assert str(response.status) in described, f"{said}, which its document does not have"
    media_types = described[str(response.status)]
    if not media_types:
        assert isinstance(response, web.Response)
        assert not response.body, f"{said} with a body, which its document does not have"
        return
    assert response.content_type in media_types, f"{said} as {response.content_type}, not {list(media_types)}"
    if response.content_type.endswith("json") and isinstance(response, web.Response):
        assert isinstance(response.body, bytes)
        wrong = [
            f"{error.instance_path}: {error.message[:300]}"
            for error in _validator(operations, media_types[response.content_type]).iter_errors(
                json.loads(response.body)
            )
        ]
        assert not wrong, f"{said} with a body that its document does not allow: {wrong[:5]}"


@lru_cache(maxsize=4)
def _document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    return make_document(operations, title="Under test", version="0")


@lru_cache(maxsize=1000)
def _responses(operations: tuple[Operation, ...], path: str, method: str) -> dict[str, dict[str, str]]:
    """Return the schema, as JSON, of each status's media types."""
    responses = _document(operations)["paths"][path_of(path)[0]][method.lower()]["responses"]
    return {
        status: {
            media_type: json.dumps(content["schema"])
            for media_type, content in response.get("content", {}).items()
        }
        for status, response in responses.items()
    }


@lru_cache(maxsize=1000)
def _validator(operations: tuple[Operation, ...], schema: str) -> jsonschema_rs.Draft202012Validator:
    """Return what judges by this schema; each takes a megabyte, so there is none that nobody asks."""
    components = _document(operations)["components"]
    return jsonschema_rs.Draft202012Validator({**json.loads(schema), "components": components})

"""Operations: handlers that say what they take and give, in types, from which everything else follows.

    operations = Operations("customers")

    @operations.patch("/v1/customers/{id:[0-9]{1,18}}", scope=Scope.CUSTOMERS_WRITE, if_match=True)
    async def patch_customer(request: web.Request, body: CustomerChanges) -> CustomerAnswer:

The scope is checked, query and body are read and validated, and the answer is written as the annotations
say; the OpenAPI document (`openapi.py`) is made from the same declaration, so it can't say anything else.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Required, TypedDict, TypeVar, Unpack, get_type_hints

from aiohttp import web
from pydantic import BaseModel

from billing_service.domain.permissions import Scope
from billing_service.http_api.bodies import RequestModel, read_body, read_query
from billing_service.http_api.caller import caller
from billing_service.http_api.preconditions import entity_tag, expected_versions, idempotency_key

OperationHandler = TypeVar("OperationHandler", bound=Callable[..., Awaitable[Any]])


class NoQuery(RequestModel):
    """A query that takes nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What a handler is for, takes and gives.

    `scope` is what the caller must have; None lets everybody in. `answer` is the type of a JSON answer, None
    for anything else (`produces` then names the media types; none of them: no content). `also` are successful
    statuses beside `status`; `refuses` are errors beside those that follow from the rest.
    One that `streams` writes its answer piece by piece.
    """

    method: str
    path: str
    tag: str
    handler: Callable[..., Awaitable[Any]]
    scope: Scope | None
    query: type[RequestModel]
    body: type[RequestModel] | None
    answer: Any
    status: HTTPStatus
    also: tuple[HTTPStatus, ...] = ()
    refuses: tuple[HTTPStatus, ...] = ()
    consumes: tuple[str, ...] = ()
    produces: tuple[str, ...] = ()
    idempotent: bool = False
    if_match: bool = False
    etag: bool = False
    documented: bool = True
    streams: bool = False

    @property
    def name(self) -> str:
        """The handler's name, which no other operation has."""
        return self.handler.__name__

    async def answer_request(self, request: web.Request) -> web.StreamResponse:
        """Do what the request asks: the whole way from the caller's scope to the written answer."""
        arguments: dict[str, Any] = {}
        if self.scope is not None:
            caller(request).require(self.scope)
            query = read_query(request, self.query)
            if self.query is not NoQuery:
                arguments["query"] = query
        if self.idempotent:
            idempotency_key(request)
        if self.if_match:
            expected_versions(request)
        if self.body is not None:
            arguments["body"] = await read_body(request, self.body)
        result = await self.handler(request, **arguments)
        response = self._written(result)
        if not response.prepared:
            # What only some may read, and passwords that are shown once, belong in nobody's cache.
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            tag = entity_tag(request)
            if tag is not None:
                response.headers["ETag"] = tag
        return response

    def _written(self, result: object) -> web.StreamResponse:
        if isinstance(result, web.StreamResponse):
            return result
        if isinstance(result, BaseModel):
            return web.Response(
                status=self.status,
                body=result.model_dump_json(by_alias=True).encode(),
                content_type="application/json",
            )
        assert result is None, f"{self.name} answers neither a model nor a response"
        return web.Response(status=self.status)


class Declared(TypedDict, total=False):
    """What a declaration may say: see `Operation`.

    `answer` is the type of the JSON in a response that the handler makes itself, `consumes` the media types
    of a body that it reads itself. `idempotent` demands an Idempotency-Key, `if_match` looks after If-Match,
    `etag` says that the answer has an ETag.
    """

    scope: Required[Scope | None]
    status: int
    answer: Any
    also: tuple[int, ...]
    refuses: tuple[int, ...]
    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    idempotent: bool
    if_match: bool
    etag: bool
    documented: bool


class Operations:
    """The operations of one handler module, under one tag of the document."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.all: list[Operation] = []

    def get(self, path: str, **declared: Unpack[Declared]) -> Callable[[OperationHandler], OperationHandler]:
        """Declare a reading operation."""
        return self.add("GET", path, declared)

    def post(self, path: str, **declared: Unpack[Declared]) -> Callable[[OperationHandler], OperationHandler]:
        """Declare a creating or acting operation."""
        return self.add("POST", path, declared)

    def put(self, path: str, **declared: Unpack[Declared]) -> Callable[[OperationHandler], OperationHandler]:
        """Declare a replacing operation."""
        return self.add("PUT", path, declared)

    def patch(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[OperationHandler], OperationHandler]:
        """Declare an editing operation."""
        return self.add("PATCH", path, declared)

    def delete(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[OperationHandler], OperationHandler]:
        """Declare a removing operation."""
        return self.add("DELETE", path, declared)

    def add(
        self, method: str, path: str, declared: Declared
    ) -> Callable[[OperationHandler], OperationHandler]:
        """Declare what the decorated handler serves.

        Its parameters `query` and `body` are read as their annotated models; the annotation of what it
        returns is the answer, unless that is a response it made itself.
        """

        def declare(handler: OperationHandler) -> OperationHandler:
            types = get_type_hints(handler)
            parameters = inspect.signature(handler).parameters.keys() - {"request", "query", "body"}
            assert not parameters, f"{handler.__name__} takes {parameters}"
            returned = types["return"]
            streams = returned is web.StreamResponse
            if isinstance(returned, type) and issubclass(returned, (web.StreamResponse, type(None))):
                returned = declared.get("answer")
            self.all.append(
                Operation(
                    method=method,
                    path=path,
                    tag=self.tag,
                    handler=handler,
                    scope=declared["scope"],
                    query=types.get("query", NoQuery),
                    body=types.get("body"),
                    answer=returned,
                    status=HTTPStatus(declared.get("status", HTTPStatus.OK)),
                    also=tuple(HTTPStatus(one) for one in declared.get("also", ())),
                    refuses=tuple(HTTPStatus(one) for one in declared.get("refuses", ())),
                    consumes=declared.get("consumes", ()),
                    produces=declared.get("produces", ()),
                    idempotent=declared.get("idempotent", False),
                    if_match=declared.get("if_match", False),
                    etag=declared.get("etag", False),
                    documented=declared.get("documented", True),
                    streams=streams,
                )
            )
            return handler

        return declare


OPERATIONS: web.AppKey[list[Operation]] = web.AppKey("operations", list)


def add_operations(app: web.Application, modules: Iterable[Operations]) -> None:
    """Route all operations of these modules."""
    app[OPERATIONS] = [operation for operations in modules for operation in operations.all]
    for operation in app[OPERATIONS]:
        endpoint = _endpoint(operation)
        if operation.method == "GET":
            # The body of a stream would follow the head that alone was asked for, and be taken for the next
            # answer on the connection.
            app.router.add_get(operation.path, endpoint, allow_head=not operation.streams)
        else:
            app.router.add_route(operation.method, operation.path, endpoint)


def operation_of(request: web.Request) -> Operation | None:
    """Return the operation that the request is for; None when there is none at its path."""
    return getattr(request.match_info.handler, "operation", None)


def _endpoint(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        return await operation.answer_request(request)

    endpoint.operation = operation  # type: ignore[attr-defined]
    return endpoint

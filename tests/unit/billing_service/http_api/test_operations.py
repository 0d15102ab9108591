"""Operations: what a declaration takes from a handler's types, and what it refuses to be."""

from http import HTTPStatus

import pytest
from aiohttp import web

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.openapi import make_document
from billing_service.http_api.operations import NoQuery, Operation, Operations
from billing_service.http_api.pages import Page, PageQuery


class Wish(RequestModel):
    name: str


class Changes(ChangesModel):
    name: str = ""
    text: str | None = None


class Thing(AnswerModel):
    name: str
    text: str | None = None


def declared(operations: Operations) -> Operation:
    (operation,) = operations.all
    return operation


def test_a_handlers_types_are_the_declaration() -> None:
    operations = Operations("things")

    @operations.post("/v1/things", scope=Scope.PLANS_WRITE, status=201)
    async def post_thing(request: web.Request, body: Wish) -> Thing:
        """Make a thing."""
        return Thing(name=body.name)

    operation = declared(operations)
    assert (operation.method, operation.path, operation.name) == ("POST", "/v1/things", "post_thing")
    assert (operation.body, operation.query, operation.answer) == (Wish, NoQuery, Thing)
    assert (operation.scope, operation.status) == (Scope.PLANS_WRITE, HTTPStatus.CREATED)


def test_a_handler_that_takes_something_else_is_no_operation() -> None:
    operations = Operations("things")
    with pytest.raises(AssertionError, match="takes"):

        @operations.get("/v1/things", scope=Scope.PLANS_READ)
        async def get_things(request: web.Request, limit: int) -> Thing:
            """List things."""
            return Thing(name=str(limit))


def test_the_document_says_what_a_declaration_says() -> None:
    operations = Operations("things")

    @operations.get("/v1/things", scope=Scope.PLANS_READ)
    async def get_things(request: web.Request, query: PageQuery) -> Page[Thing]:
        """List things.

        The newest first.
        """
        raise NotImplementedError

    @operations.patch("/v1/things/{id:[0-9]{1,18}}", scope=Scope.PLANS_WRITE, if_match=True)
    async def patch_thing(request: web.Request, body: Changes) -> Thing:
        """Change a thing."""
        raise NotImplementedError

    @operations.post("/v1/pay", scope=Scope.PAYMENTS_WRITE, idempotent=True, status=204)
    async def pay(request: web.Request) -> None:
        """Pay."""

    @operations.get("/v1/secret", scope=None, documented=False, produces=("text/html",))
    async def get_secret(request: web.Request) -> web.Response:
        """Show what is in no document."""
        raise NotImplementedError

    document = make_document(operations.all, title="Things", version="1")

    assert document["paths"].keys() == {"/v1/things", "/v1/things/{id}", "/v1/pay"}
    listed = document["paths"]["/v1/things"]["get"]
    assert (listed["summary"], listed["description"]) == ("List things.", "The newest first.")
    assert listed["security"] == [{"token": ["plans:read"]}]
    assert [one["name"] for one in listed["parameters"]] == ["limit", "cursor"]
    assert listed["responses"].keys() == {"200", "401", "403", "422", "503"}
    edit = document["paths"]["/v1/things/{id}"]["patch"]
    assert {"400", "404", "409", "412", "413", "415", "428"} <= edit["responses"].keys()
    # An edit's fields have no defaults: what is left out stays as it is. An answer's are always there.
    changes = document["components"]["schemas"]["Changes"]["properties"]
    assert not any("default" in field for field in changes.values())
    assert document["components"]["schemas"]["Thing"]["required"] == ["name", "text"]
    paid = document["paths"]["/v1/pay"]["post"]
    assert "content" not in paid["responses"]["204"]
    assert [one["name"] for one in paid["parameters"] if one["required"]] == ["Idempotency-Key"]

"""Administrators: list, create, read, edit, and their passwords."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from billing_service.domain.permissions import Role, Scope
from billing_service.errors import Forbidden
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.caller import caller
from billing_service.http_api.fields import Line, OptionalLine, format_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.http_api.sign_in import HASHING, require_password
from billing_service.storage.tables import Administrator
from billing_service.use_cases.administrators import (
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    create_administrator,
    edit_administrator,
    find_administrator,
    list_administrators,
    set_password,
)

operations = Operations("administrators")

ADMINISTRATOR = "/v1/administrators/{login:[A-Za-z0-9][A-Za-z0-9._@-]{0,63}}"

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Password = Annotated[str, StringConstraints(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
# Roles are words in JSON; only an enum's own member would be strict.
GivenRole = Annotated[Role, Field(strict=False)]


class NewAdministrator(RequestModel):
    """An administrator to be added."""

    login: Login
    name: OptionalLine = ""
    role: GivenRole
    password: Password


class AdministratorChanges(ChangesModel):
    """What is to change; fields that are left out stay as they are."""

    name: Line = ""
    role: GivenRole = Role.VIEWER
    active: bool = True


class NewAdministratorPassword(RequestModel):
    """The password that an administrator is to have."""

    password: Password


class OwnPassword(RequestModel):
    """The password that an administrator has, and the one that he wants."""

    current: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PASSWORD)]
    password: Password


class AdministratorAnswer(AnswerModel):
    """Who may use the console, unless he is not active any more."""

    login: str
    name: str
    role: Role
    active: bool
    created_at: InstantText


@operations.get("/v1/administrators", scope=Scope.ADMINISTRATORS_READ)
async def get_administrators(request: web.Request, query: PageQuery) -> Page[AdministratorAnswer]:
    """List administrators by login."""
    after = query.after(str)
    found = await services(request).database.run(
        lambda session: list_administrators(session, after=after[0] if after else None, limit=query.limit + 1)
    )
    return page(query, found, key=lambda one: (one.login,), show=_show)


@operations.post("/v1/administrators", scope=Scope.ADMINISTRATORS_WRITE, status=201, etag=True)
async def post_administrator(request: web.Request, body: NewAdministrator) -> AdministratorAnswer:
    """Add an administrator with a password, which he should change.

    Nobody gives a role that allows more than he may do.
    """
    parts, who = services(request), actor(request)
    caller(request).require_role(body.role)
    async with request.app[HASHING]:
        made = await parts.database.run(
            lambda session: create_administrator(
                session,
                login=body.login,
                name=body.name,
                password=body.password,
                role=body.role,
                actor=who,
                at=parts.now(),
            )
        )
    return _tagged(request, made)


@operations.get(ADMINISTRATOR, scope=Scope.ADMINISTRATORS_READ, etag=True)
async def get_administrator(request: web.Request) -> AdministratorAnswer:
    """Read one administrator."""
    login = request.match_info["login"]
    return _tagged(
        request, await services(request).database.run(lambda session: find_administrator(session, login))
    )


@operations.patch(ADMINISTRATOR, scope=Scope.ADMINISTRATORS_WRITE, if_match=True)
async def patch_administrator(request: web.Request, body: AdministratorChanges) -> AdministratorAnswer:
    """Change an administrator's name or role, or let him sign in no more.

    The last active administrator stays one. Nobody changes one whose role, before or after, allows more than
    he may do himself.
    """
    permits = caller(request).require_role
    changes = body.model_dump(exclude_unset=True, mode="json")
    login, who, expected = request.match_info["login"], actor(request), expected_versions(request)
    return _tagged(
        request,
        await services(request).database.run(
            lambda session: edit_administrator(
                session, login, changes, actor=who, expected=expected, permits=permits
            )
        ),
    )


@operations.post(ADMINISTRATOR + "/password", scope=Scope.ADMINISTRATORS_WRITE, status=204)
async def post_administrator_password(request: web.Request, body: NewAdministratorPassword) -> None:
    """Give an administrator who has forgotten his password another one.

    Nobody gives one to who may do more than he himself.
    """
    login, who = request.match_info["login"], actor(request)
    permits = caller(request).require_role
    async with request.app[HASHING]:
        await services(request).database.run(
            lambda session: set_password(session, login, body.password, actor=who, permits=permits)
        )


@operations.post(
    "/v1/own-password",
    scope=Scope.OWN_PASSWORD,
    status=204,
    refuses=(HTTPStatus.TOO_MANY_REQUESTS,),
)
async def post_own_password(request: web.Request, body: OwnPassword) -> None:
    """Change the password of the administrator for whom the caller acts, who must know the present one."""
    who = caller(request)
    if not who.administrator:
        raise Forbidden("Only who acts for an administrator changes a password of his own.")
    await require_password(request, who.name, body.current)
    async with request.app[HASHING]:
        await services(request).database.run(
            lambda session: set_password(session, who.name, body.password, actor=who.name)
        )


def _tagged(request: web.Request, administrator: Administrator) -> AdministratorAnswer:
    tag_answer(request, administrator.row_version)
    return _show(administrator)


def _show(administrator: Administrator) -> AdministratorAnswer:
    return AdministratorAnswer(
        login=administrator.login,
        name=administrator.name,
        role=Role(administrator.role),
        active=administrator.active,
        created_at=format_instant(administrator.created_at),
    )

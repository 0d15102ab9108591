"""Tokens of programs: list, make, withdraw."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.caller import caller
from billing_service.http_api.fields import Instant, Line, format_instant, format_optional_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.services import actor, services
from billing_service.storage.tables import ApiToken
from billing_service.use_cases.api_tokens import find_token, list_tokens, make_token, revoke_token

operations = Operations("tokens")

TOKEN = "/v1/tokens/{id:[0-9]{1,18}}"

GivenScope = Annotated[Scope, Field(strict=False)]


class NewToken(RequestModel):
    """A token to be made. Without `expires_at` it is in force until it is withdrawn."""

    name: Line
    scopes: Annotated[list[GivenScope], Field(min_length=1, max_length=len(Scope))]
    expires_at: Instant | None = None


class TokenAnswer(AnswerModel):
    """A token, without the text that a program shows."""

    id: int
    name: str
    scopes: list[str]
    created_at: InstantText
    created_by: str
    expires_at: InstantText | None
    revoked_at: InstantText | None
    last_used_at: InstantText | None


class NewTokenAnswer(TokenAnswer):
    """A token just made, with its text, which nobody can learn later."""

    token: str


@operations.get("/v1/tokens", scope=Scope.ADMINISTRATORS_READ)
async def get_tokens(request: web.Request, query: PageQuery) -> Page[TokenAnswer]:
    """List tokens, newest first, those no longer in force too."""
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_tokens(session, before_id=after[0] if after else None, limit=query.limit + 1)
    )
    return page(query, found, key=lambda token: (token.id,), show=_show)


@operations.post("/v1/tokens", scope=Scope.ADMINISTRATORS_WRITE, status=201)
async def post_token(request: web.Request, body: NewToken) -> NewTokenAnswer:
    """Make a token; the answer holds its text, this once. Nobody gives a scope that he does not have."""
    parts, who = services(request), actor(request)
    for scope in body.scopes:
        caller(request).require(scope)
    token, text = await parts.database.run(
        lambda session: make_token(
            session,
            name=body.name,
            scopes=set(body.scopes),
            expires_at=body.expires_at,
            actor=who,
            at=parts.now(),
        )
    )
    return NewTokenAnswer(**dict(_show(token)), token=text)


@operations.get(TOKEN, scope=Scope.ADMINISTRATORS_READ)
async def get_token(request: web.Request) -> TokenAnswer:
    """Read one token."""
    token_id = int(request.match_info["id"])
    return _show(await services(request).database.run(lambda session: find_token(session, token_id)))


@operations.delete(TOKEN, scope=Scope.ADMINISTRATORS_WRITE)
async def delete_token(request: web.Request) -> TokenAnswer:
    """Withdraw a token for good. It stays in the list, as the audit log names it."""
    parts, who, token_id = services(request), actor(request), int(request.match_info["id"])
    return _show(
        await parts.database.run(lambda session: revoke_token(session, token_id, actor=who, at=parts.now()))
    )


def _show(token: ApiToken) -> TokenAnswer:
    return TokenAnswer(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        created_at=format_instant(token.created_at),
        created_by=token.created_by,
        expires_at=format_optional_instant(token.expires_at),
        revoked_at=format_optional_instant(token.revoked_at),
        last_used_at=format_optional_instant(token.last_used_at),
    )

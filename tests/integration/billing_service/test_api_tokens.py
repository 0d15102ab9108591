"""Tokens of programs: what they allow, for how long, and that nobody learns them from the database."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing_service.domain.permissions import Role
from billing_service.http_api import token_check
from billing_service.storage.unit_of_work import DatabaseUnavailable
from tests.support.billing import Answer, Billing


async def make(billing: Billing, *scopes: str, name: str = "statistics", **fields: Any) -> Any:
    answer = await billing.post("/v1/tokens", {"name": name, "scopes": list(scopes), **fields})
    assert answer.status == 201, answer
    return answer.body


async def get(billing: Billing, path: str, token: str, **headers: str) -> Answer:
    return await billing.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})


async def test_a_token_allows_its_scopes_and_nothing_else(billing: Billing) -> None:
    made = await make(billing, "calls:read", "customers:write")
    token = made["token"]
    assert (await get(billing, "/v1/calls", token)).status == 200
    refused = await get(billing, "/v1/customers", token)
    assert (refused.status, "customers:read" in refused.body["detail"]) == (403, True)
    posted = await billing.post(
        "/v1/customers", {"name": "New"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert posted.status == 201
    assert (await billing.get("/v1/audit-log", action="create", subject_kind="customer")).body["items"][0][
        "actor"
    ] == "token statistics"


async def test_a_token_is_shown_once_and_stored_as_a_hash(billing: Billing) -> None:
    made = await make(billing, "calls:read")
    token = made.pop("token")
    shown = (await billing.get(f"/v1/tokens/{made['id']}")).body
    assert shown == made
    assert (await billing.get("/v1/tokens")).body["items"] == [made]
    dump = await billing.database.run(
        lambda session: session.scalar(text("SELECT string_agg(t::text, ' ') FROM api_tokens t"))
    )
    assert token not in dump
    assert token.removeprefix("tollbell_") not in str((await billing.get("/v1/audit-log")).body)


async def test_a_token_ends_when_it_expires_or_is_withdrawn(billing: Billing) -> None:
    expiring = await make(billing, "calls:read", name="a", expires_at="2026-11-21T21:00:00Z")
    endless = await make(billing, "calls:read", name="b")
    assert (await get(billing, "/v1/calls", expiring["token"])).status == 200
    billing.clock.advance(timedelta(hours=1))
    over = await get(billing, "/v1/calls", expiring["token"])
    assert over.status == 401
    assert over.headers["WWW-Authenticate"].startswith("Bearer")

    assert (await get(billing, "/v1/calls", endless["token"])).status == 200
    withdrawn = await billing.request("DELETE", f"/v1/tokens/{endless['id']}")
    assert (withdrawn.status, withdrawn.body["revoked_at"]) == (200, "2026-11-21T21:00:00.000000Z")
    assert (await get(billing, "/v1/calls", endless["token"])).status == 401
    again = await billing.request("DELETE", f"/v1/tokens/{endless['id']}")
    assert again.body == withdrawn.body
    assert (await billing.request("DELETE", "/v1/tokens/404")).status == 404
    await make(billing, "calls:read", name="B")


async def test_its_last_use_is_noted_to_the_minute(billing: Billing) -> None:
    made = await make(billing, "calls:read")

    async def last_used() -> str | None:
        return (await billing.get(f"/v1/tokens/{made['id']}")).body["last_used_at"]

    assert await last_used() is None
    await get(billing, "/v1/calls", made["token"])
    assert await last_used() == "2026-11-21T20:00:00.000000Z"
    billing.clock.advance(timedelta(seconds=30))
    await get(billing, "/v1/calls", made["token"])
    assert await last_used() == "2026-11-21T20:00:00.000000Z"
    billing.clock.advance(timedelta(seconds=30))
    await get(billing, "/v1/calls", made["token"])
    assert await last_used() == "2026-11-21T20:01:00.000000Z"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": "calls:read"}, "scopes"),
        ({"expires_at": "2026-11-21T20:00:00Z"}, "expires_at"),
        ({"name": ""}, "name"),
        ({"token": "mine"}, "token"),
    ],
)
async def test_a_token_without_sense_is_refused(billing: Billing, change: dict[str, Any], wrong: str) -> None:
    answer = await billing.post("/v1/tokens", {"name": "x", "scopes": ["calls:read"], **change})
    assert (answer.status, set(answer.fields())) == (422, {wrong})


async def test_two_tokens_in_force_have_different_names(billing: Billing) -> None:
    await make(billing, "calls:read")
    answer = await billing.post("/v1/tokens", {"name": "STATISTICS", "scopes": ["calls:read"]})
    assert answer.status == 409


async def test_nobody_gives_what_he_has_not(billing: Billing) -> None:
    acting = await billing.acting_as("ann", Role.ADMINISTRATOR)
    answer = await billing.post("/v1/tokens", {"name": "x", "scopes": ["exchange"]}, headers=acting)
    assert answer.status == 403
    minting = await make(billing, "administrators:write", name="minting")
    answer = await billing.post(
        "/v1/tokens",
        {"name": "y", "scopes": ["payments:write"]},
        headers={"Authorization": f"Bearer {minting['token']}"},
    )
    assert answer.status == 403


async def test_a_token_never_acts_for_an_administrator(billing: Billing) -> None:
    acting = await billing.acting_as("ann", Role.ADMINISTRATOR)
    made = await make(billing, "calls:read")
    assert (await get(billing, "/v1/settings", made["token"], **acting)).status == 403


@pytest.mark.parametrize(
    "token", ["tollbell_", "tollbell_" + "x" * 43, "tollbell_\xff", "tollbell_" + "y" * 5000]
)
async def test_invented_tokens_are_refused(billing: Billing, token: str) -> None:
    assert (await get(billing, "/v1/calls", token)).status == 401


async def test_while_the_database_is_away_a_token_that_was_good_just_now_still_is(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = (await make(billing, "calls:read", name="known"))["token"]
    unused = (await make(billing, "calls:read", name="unused"))["token"]
    assert (await get(billing, "/v1/calls", known)).status == 200

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(token_check, "use_token", away)
    assert (await get(billing, "/v1/calls", known)).status == 200
    assert (await get(billing, "/v1/calls", unused)).status == 503
    billing.clock.advance(timedelta(minutes=16))
    assert (await get(billing, "/v1/calls", known)).status == 503

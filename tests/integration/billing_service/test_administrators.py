"""Administrators over the REST API: their roles, their passwords, and that one in charge always remains."""

import asyncio
from typing import Any

import pytest
from argon2 import PasswordHasher

from billing_service.domain.permissions import Role, scopes_of
from billing_service.use_cases import administrators
from tests.support.billing import Billing

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as usual, but with so little work that tests don't wait for it."""
    monkeypatch.setattr(administrators, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    administrators._hash_of_nobody.cache_clear()


async def add(billing: Billing, login: str, role: str = "administrator") -> Any:
    answer = await billing.post(
        "/v1/administrators", {"login": login, "role": role, "password": PASSWORD, "name": login.title()}
    )
    assert answer.status == 201, answer
    return answer


async def sign_in(billing: Billing, login: str, password: str = PASSWORD) -> int:
    return (await billing.post("/v1/login", {"login": login, "password": password})).status


async def test_an_administrator_is_added_and_can_sign_in(billing: Billing) -> None:
    added = await add(billing, "Ann")
    assert added.body == {
        "login": "ann",
        "name": "Ann",
        "role": "administrator",
        "active": True,
        "created_at": "2026-11-21T20:00:00.000000Z",
    }
    assert added.headers["ETag"] == '"1"'
    assert await sign_in(billing, "ANN") == 200
    again = await billing.post("/v1/administrators", {"login": "ANN", "role": "viewer", "password": PASSWORD})
    assert again.status == 409


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"role": "king"}, "role"),
        ({"role": None}, "role"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"login": "a b"}, "login"),
        ({"login": ""}, "login"),
        ({"login": "ünn"}, "login"),
        ({"login": "Service"}, "login"),
        ({"active": False}, "active"),
    ],
)
async def test_an_administrator_without_sense_is_refused(
    billing: Billing, change: dict[str, Any], wrong: str
) -> None:
    body = {"login": "ann", "role": "viewer", "password": PASSWORD, **change}
    answer = await billing.post("/v1/administrators", body)
    assert (answer.status, set(answer.fields())) == (422, {wrong})


async def test_who_is_switched_off_neither_signs_in_nor_acts(billing: Billing) -> None:
    await add(billing, "ann")
    await add(billing, "bob", "operator")
    acting = {"Tollbell-Actor": "bob"}
    assert (await billing.request("GET", "/v1/customers", headers=acting)).status == 200
    answer = await billing.patch("/v1/administrators/bob", {"active": False})
    assert (answer.status, answer.body["active"]) == (200, False)
    assert await sign_in(billing, "bob") == 401
    assert (await billing.request("GET", "/v1/customers", headers=acting)).status == 403


async def test_the_last_administrator_stays(billing: Billing) -> None:
    await add(billing, "ann")
    await add(billing, "bob", "operator")
    for change in ({"active": False}, {"role": "operator"}, {"role": "viewer", "active": False}):
        assert (await billing.patch("/v1/administrators/ann", change)).status == 409
    await billing.patch("/v1/administrators/bob", {"role": "administrator"})
    assert (await billing.patch("/v1/administrators/ann", {"active": False})).status == 200
    assert (await billing.patch("/v1/administrators/bob", {"active": False})).status == 409
    assert (await billing.patch("/v1/administrators/ann", {"name": "Ann Gone"})).status == 200


async def test_two_who_remove_each_other_leave_one(billing: Billing) -> None:
    for _ in range(3):
        for login in ("ann", "bob"):
            if (await billing.get(f"/v1/administrators/{login}")).status == 404:
                await add(billing, login)
            await billing.patch(f"/v1/administrators/{login}", {"active": True})
        answers = await asyncio.gather(
            billing.patch("/v1/administrators/ann", {"active": False}),
            billing.patch("/v1/administrators/bob", {"role": "viewer"}),
        )
        assert sorted(answer.status for answer in answers) == [200, 409]
        await billing.patch("/v1/administrators/bob", {"role": "administrator"})


async def test_a_password_is_given_by_another_or_changed_by_its_owner(billing: Billing) -> None:
    await add(billing, "ann", "viewer")
    acting = {"Tollbell-Actor": "ann"}
    given = await billing.post("/v1/administrators/ann/password", {"password": "given by another"})
    assert (given.status, given.body) == (204, None)
    assert await sign_in(billing, "ann") == 401
    wrong = {"current": "not this one", "password": "chosen by herself"}
    assert (await billing.post("/v1/own-password", wrong, headers=acting)).status == 401
    right = {"current": "given by another", "password": "chosen by herself"}
    assert (await billing.post("/v1/own-password", right, headers=acting)).status == 204
    assert await sign_in(billing, "ann", "chosen by herself") == 200
    # A viewer can't give others one, and the service has none.
    other = await billing.post("/v1/administrators/ann/password", {"password": PASSWORD}, headers=acting)
    assert other.status == 403
    assert (await billing.post("/v1/own-password", right)).status == 403
    unknown = await billing.post("/v1/administrators/nobody/password", {"password": PASSWORD})
    assert unknown.status == 404


async def test_nobody_gives_or_touches_a_role_that_allows_more_than_he_may(billing: Billing) -> None:
    await add(billing, "boss")
    await add(billing, "clerk", "viewer")
    token = {"name": "personnel", "scopes": ["administrators:read", "administrators:write"]}
    made = (await billing.post("/v1/tokens", token)).body
    narrow = {"Authorization": f"Bearer {made['token']}", "If-Match": "*"}
    password = {"password": "mine from now on"}
    for role in Role:
        new = {"login": f"puppet-{role.value}", "role": role.value, "password": PASSWORD}
        assert (await billing.post("/v1/administrators", new, headers=narrow)).status == 403
    for login in ("boss", "clerk"):
        path = f"/v1/administrators/{login}"
        assert (await billing.post(f"{path}/password", password, headers=narrow)).status == 403
        assert (await billing.patch(path, {"role": "operator"}, headers=narrow)).status == 403
        assert (await billing.patch(path, {"active": False}, headers=narrow)).status == 403
        assert await sign_in(billing, login) == 200
    unknown = await billing.post("/v1/administrators/nobody/password", password, headers=narrow)
    assert unknown.status == 404
    listed = (await billing.get("/v1/administrators")).body["items"]
    assert [(one["login"], one["role"]) for one in listed] == [("boss", "administrator"), ("clerk", "viewer")]

    # Who may do all that a viewer may has viewers, but can't make more of them.
    viewer = [scope.value for scope in scopes_of(Role.VIEWER)]
    wider = {"name": "wider", "scopes": [*token["scopes"], *viewer]}
    made = (await billing.post("/v1/tokens", wider)).body
    wide = {"Authorization": f"Bearer {made['token']}", "If-Match": "*"}
    clerk = "/v1/administrators/clerk"
    assert (await billing.post(f"{clerk}/password", password, headers=wide)).status == 204
    assert (await billing.patch(clerk, {"name": "Clerk"}, headers=wide)).status == 200
    assert (await billing.patch(clerk, {"role": "operator"}, headers=wide)).status == 403
    assert (await billing.post("/v1/administrators/boss/password", password, headers=wide)).status == 403


async def test_guessing_the_present_password_is_limited(billing: Billing) -> None:
    await add(billing, "ann", "viewer")
    acting = {"Tollbell-Actor": "ann"}
    wrong = {"current": "not this one", "password": "chosen by herself"}
    statuses = [(await billing.post("/v1/own-password", wrong, headers=acting)).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


async def test_no_password_is_ever_shown_or_audited(billing: Billing) -> None:
    await add(billing, "ann")
    await billing.post("/v1/administrators/ann/password", {"password": "given by another"})
    for path in ("/v1/administrators", "/v1/administrators/ann", "/v1/audit-log"):
        shown = str((await billing.get(path)).body)
        assert "ann" in shown
        assert not any(secret in shown for secret in (PASSWORD, "given by another", "argon2"))


READS = [
    "/v1/customers",
    "/v1/plans",
    "/v1/calls",
    "/v1/bills",
    "/v1/settings",
    "/v1/audit-log",
    "/v1/errors",
]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, set()),
        (Role.OPERATOR, {"customers"}),
        (Role.ADMINISTRATOR, {"customers", "plans", "settings", "administrators", "tokens", "bills"}),
    ],
)
async def test_a_role_limits_what_the_service_may_do_for_an_administrator(
    billing: Billing, role: Role, allowed: set[str]
) -> None:
    acting = await billing.acting_as("carol", role)
    for path in READS:
        assert (await billing.request("GET", path, headers=acting)).status == 200, path
    plan = {"name": "New", "base_price": {"per_minute": "0.10"}}
    seen = {**acting, "If-Match": "*"}
    token = {"name": "mine", "scopes": ["calls:read"]}
    tried = {
        "customers": await billing.post("/v1/customers", {"name": "New"}, headers=acting),
        "plans": await billing.post("/v1/plans", plan, headers=acting),
        "settings": await billing.patch("/v1/settings", {"ring_time_s": 30}, headers=seen),
        "administrators": await billing.request("GET", "/v1/administrators", headers=acting),
        "tokens": await billing.post("/v1/tokens", token, headers=acting),
        "bills": await billing.post("/v1/bills/close-due", {}, headers=acting),
    }
    assert {name for name, answer in tried.items() if answer.status < 300} == allowed
    assert {answer.status for name, answer in tried.items() if name not in allowed} <= {403}
    # Whoever acts for a person is no exchange, and asks for no other person's password.
    assert (await billing.request("GET", "/internal/v1/directory", headers=acting)).status == 403
    login = {"login": "carol", "password": PASSWORD}
    assert (await billing.post("/v1/login", login, headers=acting)).status == 403


async def test_a_name_that_is_no_administrator_may_do_nothing(billing: Billing) -> None:
    for name in ("nobody", "%6eobody", "service"):
        answer = await billing.request("GET", "/v1/info", headers={"Tollbell-Actor": name})
        assert answer.status == 403
    await add(billing, "a@example.org", "viewer")
    written = {"Tollbell-Actor": "a%40example.org"}
    assert (await billing.request("GET", "/v1/info", headers=written)).status == 200


async def test_the_audit_log_names_an_administrator_as_he_is_stored(billing: Billing) -> None:
    await billing.acting_as("ann")
    made = await billing.post("/v1/customers", {"name": "New"}, headers={"Tollbell-Actor": "ANN"})
    assert made.status == 201
    (change,) = (await billing.get("/v1/audit-log", subject_kind="customer")).body["items"]
    assert change["actor"] == "ann"

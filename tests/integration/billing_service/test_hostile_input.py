"""Nothing that a client can send makes the service fail: it answers with what is wrong, and goes on."""

import io
import json
from typing import Any

import pytest
from yarl import URL

from tests.support.billing import TOKEN, Billing

WRITES = [
    ("POST", "/v1/login"),
    ("POST", "/v1/customers"),
    ("PATCH", "/v1/customers/1"),
    ("POST", "/v1/phone-accounts"),
    ("PATCH", "/v1/phone-accounts/0001"),
    ("POST", "/v1/phone-accounts/0001/sip-password"),
    ("POST", "/v1/phone-accounts/0001/plan"),
    ("POST", "/v1/plans"),
    ("PATCH", "/v1/plans/1"),
    ("PATCH", "/v1/settings"),
    ("POST", "/v1/bills/close-due"),
    ("POST", "/v1/payments"),
    ("POST", "/v1/administrators"),
    ("PATCH", "/v1/administrators/ann"),
    ("POST", "/v1/administrators/ann/password"),
    ("POST", "/v1/own-password"),
    ("POST", "/v1/tokens"),
    ("POST", "/internal/v1/call-records"),
]
LISTS = [
    "/v1/administrators",
    "/v1/tokens",
    "/v1/audit-log",
    "/v1/errors",
    "/v1/customers",
    "/v1/phone-accounts",
    "/v1/plans",
    "/v1/calls",
    "/v1/bills",
    "/v1/rejected-call-records",
]
DEEP = "[" * 100_000 + "]" * 100_000


def nested(depth: int) -> bytes:
    return b'{"records": ' + b"[" * depth + b"]" * depth + b"}"


async def send(billing: Billing, method: str, path: str, body: bytes, content_type: str) -> int:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": content_type,
        "Idempotency-Key": "one",
    }
    async with billing.client.request(method, path, data=io.BytesIO(body), headers=headers) as response:
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            problem = await response.json(content_type=None)
            assert problem["status"] == response.status
        return response.status


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_bodies_that_are_no_json_are_refused(billing: Billing, method: str, path: str) -> None:
    for body, status in [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'{"name": NaN}', 400),
        (b'{"name": -Infinity}', 400),
        (b'{"name": 1' + b"0" * 5000 + b"}", 400),
        (DEEP.encode(), 400),
        (b'{"records": [{"duration_us": 1e999}]}', 400),
        (nested(900), 400),
        (nested(31), 400),
        (b"{}\x00", 400),
    ]:
        assert await send(billing, method, path, body, "application/json") == status, body[:40]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_bodies_of_the_wrong_shape_are_refused(billing: Billing, method: str, path: str) -> None:
    for body in ("[]", "null", "1", '"text"', '{"\\u0000": 1}', '{"\\ud800": 1}', '{"unknown": {"a": [1]}}'):
        assert await send(billing, method, path, body.encode(), "application/json") == 422, body


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_bodies_of_another_kind_are_refused(billing: Billing, method: str, path: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        assert await send(billing, method, path, b"{}", content_type) == 415


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_ten_megabytes_are_too_much(billing: Billing, method: str, path: str) -> None:
    body = json.dumps({"name": "x" * 10_000_000}).encode()
    assert await send(billing, method, path, body, "application/json") == 413


@pytest.mark.parametrize("path", LISTS)
async def test_queries_without_sense_are_refused_by_name(billing: Billing, path: str) -> None:
    queries: list[tuple[str, Any]] = [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("limit", "many"),
        ("limit", "1" * 30),
        ("limit", "1e2"),
        ("cursor", "!"),
        ("cursor", "x" * 2000),
        ("cursor", "bnVsbA"),  # null
        ("cursor", "W10"),  # []
        ("cursor", "W3sifV0"),  # no JSON
        ("cursor", "W1tdXQ"),  # [[]]
        ("cursor", "WzEsMiwzLDRd"),  # [1,2,3,4]
        ("cursor", "WzEuNV0"),  # [1.5]
        ("cursor", "ÿ"),
        ("colour", "blue"),
        ("limit", "\x00"),
    ]
    for name, value in queries:
        answer = await billing.get(path, **{name: value})
        assert (answer.status, set(answer.fields())) == (422, {name}), (name, value)


@pytest.mark.parametrize("path", LISTS)
async def test_a_field_twice_in_a_query_is_refused(billing: Billing, path: str) -> None:
    answer = await billing.request("GET", f"{path}?limit=1&limit=2")
    assert (answer.status, set(answer.fields())) == (422, {"limit"})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/customers", "q"),
        ("/v1/phone-accounts", "q"),
        ("/v1/phone-accounts", "state"),
        ("/v1/phone-accounts", "customer_id"),
        ("/v1/calls", "number"),
        ("/v1/calls", "from"),
        ("/v1/calls", "to"),
        ("/v1/calls", "outcome"),
        ("/v1/bills", "account"),
        ("/v1/bills", "unpaid"),
    ],
)
async def test_a_text_that_no_database_holds_is_refused(billing: Billing, path: str, name: str) -> None:
    for value in ("a\x00b", "x" * 1_000):
        answer = await billing.get(path, **{name: value})
        assert (answer.status, set(answer.fields())) == (422, {name})


@pytest.mark.parametrize(
    "instant",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-13-01T00:00:00Z",
        "2026-11-21",
        "0",
        "now",
    ],
)
async def test_instants_at_the_end_of_time_are_refused(billing: Billing, instant: str) -> None:
    answer = await billing.get("/v1/calls", **{"from": instant})
    assert (answer.status, set(answer.fields())) == (422, {"from"})
    answer = await billing.post("/v1/bills/close-due", {"as_of": instant})
    assert (answer.status, set(answer.fields())) == (422, {"as_of"})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/1.5",
        "/v1/customers/-1",
        "/v1/customers/%00",
        "/v1/customers/99999999999999999999999",
        "/v1/phone-accounts/%00",
        "/v1/phone-accounts/abc",
        "/v1/phone-accounts/%FF%FE",
        "/v1/calls/%00",
        "/v1/calls/%2e%2e%2fsettings",
        "/v1/bills/nothing",
        "/v1/bills/%00",
        "/",
        "/v1",
    ],
)
async def test_paths_to_nothing_are_not_found(billing: Billing, path: str) -> None:
    async with billing.client.session.get(
        URL(f"{str(billing.client.make_url('/')).rstrip('/')}{path}", encoded=True),
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_a_strange_actor_does_no_harm(billing: Billing) -> None:
    for name, status in (
        ("", 200),
        (" ", 200),
        ("\t", 200),
        ("x" * 5000, 403),
        ("ümläut", 403),
        ("%00", 403),
        ("%FF", 403),
        ("' OR 1=1 --", 403),
    ):
        answer = await billing.patch("/v1/settings", {"ring_time_s": 30}, headers={"Tollbell-Actor": name})
        assert answer.status == status, name


async def test_the_search_takes_patterns_literally(billing: Billing) -> None:
    await billing.add_customer("100 % _ \\ ' \"")
    for text in ("%", "_", "\\", "'", '"'):
        assert len((await billing.get("/v1/customers", q=text)).body["items"]) == 1
    assert (await billing.get("/v1/customers", q="%%")).body["items"] == []

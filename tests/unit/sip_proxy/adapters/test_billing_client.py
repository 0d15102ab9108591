"""The two calls to billing, against a server that answers as it is told to (`docs/api/internal.md`)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sip_proxy.adapters.billing_client import (
    BillingClient,
    DeliveryResult,
    RefusedByBilling,
    UnableToReachBilling,
    UnexpectedAnswer,
)


@dataclass
class Billing:
    """What billing answers, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization")
        self.asked.append((request.method, request.path_qs, token, await request.read()))
        return web.Response(status=self.status, body=self.body)


@pytest.fixture
def billing() -> Billing:
    return Billing()


@pytest.fixture
async def client(billing: Billing) -> AsyncIterator[BillingClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", billing.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield BillingClient(session, url=str(server.make_url("")).rstrip("/"), service_token="hush")


async def test_asks_for_changes_of_the_directory(client: BillingClient, billing: Billing) -> None:
    billing.body = b'{"version": 1}'

    assert await client.fetch_directory(since=42, wait_s=30) == {"version": 1}
    assert billing.asked == [("GET", "/internal/v1/directory?since=42&wait=30", "Bearer hush", b"")]


async def test_delivers_records_and_tells_which_are_settled(client: BillingClient, billing: Billing) -> None:
    billing.body = json.dumps(
        {
            "results": [
                {"record_id": "a", "status": "stored"},
                {"record_id": "b", "status": "duplicate"},
                {"record_id": "c", "status": "rejected", "reason": "no such account"},
                {"record_id": "d", "status": "postponed"},
                {"record_id": 5, "status": "stored"},
                "nonsense",
            ]
        }
    ).encode()

    assert await client.deliver(['{"record_id":"a"}', '{"record_id":"b"}']) == [
        DeliveryResult("a", None),
        DeliveryResult("b", None),
        DeliveryResult("c", "no such account"),
    ]
    ((method, path, _, body),) = billing.asked
    assert (method, path) == ("POST", "/internal/v1/call-records")
    assert json.loads(body) == {"records": [{"record_id": "a"}, {"record_id": "b"}]}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_billing_cannot_read_is_refused(
    client: BillingClient, billing: Billing, status: int
) -> None:
    billing.status, billing.body = status, b'{"detail": "records.0.caller: missing"}'

    with pytest.raises(RefusedByBilling, match=r"records\.0\.caller"):
        await client.deliver(["{}"])


@pytest.mark.parametrize("status", [204, 302, 401, 403, 404, 429, 500, 503])
async def test_any_other_answer_means_to_try_again(
    client: BillingClient, billing: Billing, status: int
) -> None:
    billing.status, billing.body = status, b"" if status == 204 else b"<html>away</html>"

    with pytest.raises(UnableToReachBilling, match=str(status)):
        await client.deliver(["{}"])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"results": 5}', b"\xff"])
async def test_an_answer_that_is_not_in_the_contract(
    client: BillingClient, billing: Billing, body: bytes
) -> None:
    billing.body = body

    with pytest.raises(UnexpectedAnswer):
        await client.deliver(["{}"])


async def test_nobody_listens() -> None:
    async with aiohttp.ClientSession() as session:
        client = BillingClient(session, url="http://127.0.0.1:1", service_token="hush")
        with pytest.raises(UnableToReachBilling) as caught:
            await client.fetch_directory(since=0, wait_s=1)

    assert "hush" not in str(caught.value)

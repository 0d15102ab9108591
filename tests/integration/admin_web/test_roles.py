"""The console in the hands of every role, with billing as it really is: what a role may not do is refused."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from argon2 import PasswordHasher
from yarl import URL

from admin_web.app import make_app
from admin_web.settings import ListenAddress, Settings
from billing_service.domain.permissions import Role
from billing_service.use_cases import administrators
from tests.support import fake_services
from tests.support.billing import TOKEN, Billing, call_record
from tests.support.console import Console, ShiftedClock
from tests.support.fake_billing_api import FakeBilling
from tests.support.fake_services import FakeExchange

PASSWORD = "correct horse battery"
PAGES = [
    "/",
    "/customers",
    "/customers/1",
    "/accounts",
    "/accounts/0001",
    "/accounts/0001/open-bill",
    "/calls",
    f"/calls/{1:032x}",
    "/bills",
    "/bills/2026-000001",
    "/errors",
    "/live",
    "/phones",
]


@pytest.fixture
async def console(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Console]:
    """A console in front of a real billing service with something of everything in it."""
    monkeypatch.setattr(fake_services, "TOKEN", TOKEN)
    monkeypatch.setattr(administrators, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    administrators._hash_of_nobody.cache_clear()
    await billing.add_account("0001")
    await billing.deliver(call_record(1), call_record(2, status=42))
    await billing.close_ahead("2026-12-22T00:00:00Z")
    exchange = FakeExchange()
    await exchange.start()
    settings = Settings(
        listen=ListenAddress("127.0.0.1", 0),
        billing_url=billing.client.make_url("/"),
        exchange_url=URL(f"http://{exchange.address}"),
        service_token=TOKEN,
        session_secret="a secret of the tests, long enough",
    )
    app = make_app(settings, clock=ShiftedClock())
    runner = web.AppRunner(app, shutdown_timeout=2, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = URL.build(scheme="http", host="127.0.0.1", port=runner.addresses[0][1])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield Console(app, url, FakeBilling(), exchange, ShiftedClock(), client)
        await runner.cleanup()
        await exchange.stop()


async def log_in_as(billing: Billing, console: Console, role: Role) -> None:
    body = {"login": "carol", "role": role.value, "password": PASSWORD}
    assert (await billing.post("/v1/administrators", body)).status == 201
    assert (await console.log_in(login="carol", password=PASSWORD)).status == 303


@pytest.mark.parametrize("role", Role)
async def test_every_role_sees_every_page(billing: Billing, console: Console, role: Role) -> None:
    await log_in_as(billing, console, role)
    for page in PAGES:
        answer = await console.get(page)
        assert (answer.status, answer.path) == (200, page)
        assert "may not do this" not in answer.text, page
    assert f"<small>{role.value}</small>" in (await console.get("/")).text


@pytest.mark.parametrize(("role", "may"), [(Role.VIEWER, False), (Role.OPERATOR, True)])
async def test_a_viewer_who_suspends_an_account_is_told_that_he_may_not(
    billing: Billing, console: Console, role: Role, may: bool
) -> None:
    await log_in_as(billing, console, role)
    answer = await console.post("/accounts/0001/suspend", {"csrf_token": await console.csrf_token()})
    state = (await billing.get("/v1/phone-accounts/0001")).body["state"]
    if may:
        assert (answer.status, state) == (303, "suspended")
    else:
        assert (answer.status, state) == (409, "active")
        assert "carol may not do this" in answer.text


async def test_who_is_switched_off_while_logged_in_sees_and_does_nothing_more(
    billing: Billing, console: Console
) -> None:
    await log_in_as(billing, console, Role.OPERATOR)
    await billing.patch("/v1/administrators/carol", {"active": False})
    answer = await console.get("/accounts")
    assert "There is no active administrator carol" in answer.text
    assert "0001" not in answer.text
    refused = await console.post("/accounts/0001/suspend", {"csrf_token": await console.csrf_token()})
    assert refused.status >= 400
    assert (await billing.get("/v1/phone-accounts/0001")).body["state"] == "active"

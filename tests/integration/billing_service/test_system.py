"""The system as a whole over the REST API: health, who may ask, sign-in, settings, front page."""

import asyncio
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from billing_service.storage.tables import Administrator, AuditEntry
from billing_service.use_cases import administrators
from billing_service.use_cases.administrators import create_administrator
from tests.support.billing import REALM, START, TOKEN, Billing, MakeBilling, call_record, unanswered_record
from tests.support.ports import free_port

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as usual, but with so little work that a dozen of guesses take no time."""
    monkeypatch.setattr(administrators, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    administrators._hash_of_nobody.cache_clear()


async def add_administrator(billing: Billing, login: str = "admin") -> None:
    await billing.database.run(
        lambda session: create_administrator(
            session, login=login, name="Ann Admin", password=PASSWORD, actor="test", at=START
        )
    )


async def sign_in(
    billing: Billing, login: str = "admin", password: str = PASSWORD, *, address: str = "192.0.2.1"
) -> Any:
    return await billing.post(
        "/v1/login",
        {"login": login, "password": password},
        headers={"Tollbell-Client-Address": address},
    )


async def test_health_needs_no_token(billing: Billing) -> None:
    async with billing.client.get("/health") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ok", "database": "ok", "broker": None}


async def test_a_broker_that_is_away_degrades_the_service_and_does_not_stop_it(
    make_billing: MakeBilling,
) -> None:
    billing: Billing = await make_billing(broker_url=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    async with billing.client.get("/health") as response:
        assert response.status == 200
        assert await response.json() == {"status": "degraded", "database": "ok", "broker": "away"}
    assert (await metrics(billing))["broker_connected"] == 0


async def test_metrics_need_no_token_and_leave_out_a_broker_that_is_not_configured(billing: Billing) -> None:
    assert await metrics(billing) == {"database_available": 1}


async def metrics(billing: Billing) -> dict[str, float]:
    async with billing.client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = (await response.text()).splitlines()
    samples = [line.removeprefix("tollbell_billing_").split() for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


async def test_info(billing: Billing) -> None:
    assert (await billing.get("/v1/info")).body == {
        "name": "billing_service",
        "version": "0.1.0",
        "currency": "USD",
        "timezone": "UTC",
        "realm": REALM,
        "started_at": "2026-11-21T20:00:00.000000Z",
    }


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer tökén",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/info"),
        ("GET", "/internal/v1/directory"),
        ("POST", "/internal/v1/call-records"),
        ("POST", "/v1/login"),
        ("GET", "/v1/nowhere"),
    ],
)
async def test_without_the_token_nothing_is_told(
    billing: Billing, header: str | None, method: str, path: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with billing.client.request(method, path, headers=headers, json={}) as response:
        assert response.status == 401
        assert response.content_type == "application/problem+json"
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.json(content_type=None))["title"] == "Unauthorized"


async def test_the_scheme_of_the_token_has_no_case(billing: Billing) -> None:
    answer = await billing.request("GET", "/v1/info", headers={"Authorization": f"bearer {TOKEN}"})
    assert answer.status == 200


async def test_an_administrator_signs_in(billing: Billing) -> None:
    await add_administrator(billing)
    for login in ("admin", "ADMIN"):
        answer = await sign_in(billing, login)
        assert (answer.status, answer.body) == (
            200,
            {"login": "admin", "name": "Ann Admin", "role": "administrator"},
        )


async def test_a_wrong_password_and_an_unknown_login_look_the_same(billing: Billing) -> None:
    await add_administrator(billing)
    wrong, unknown = await sign_in(billing, password="wrong"), await sign_in(billing, "nobody", "nobody")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
    assert wrong.status == 401


async def test_an_administrator_who_was_switched_off_cannot_sign_in(billing: Billing) -> None:
    await add_administrator(billing)
    await billing.database.run(lambda session: session.execute(update(Administrator).values(active=False)))
    assert (await sign_in(billing)).status == 401


async def test_ten_failures_a_minute_lock_the_login_for_the_rest_of_it(billing: Billing) -> None:
    await add_administrator(billing)
    await add_administrator(billing, "other")
    answers = await asyncio.gather(*(sign_in(billing, password="guess") for _ in range(14)))
    assert sorted(answer.status for answer in answers) == [401] * 10 + [429] * 4

    locked = await sign_in(billing)
    assert locked.status == 429
    assert 0 < int(locked.headers["Retry-After"]) <= 61
    assert (await sign_in(billing, "other")).status == 200
    # The administrator is elsewhere and is not kept out by those who guess.
    assert (await sign_in(billing, address="192.0.2.2")).status == 200

    billing.clock.advance(timedelta(seconds=61))
    assert (await sign_in(billing)).status == 200


async def test_guesses_from_many_places_lock_the_login_too(billing: Billing) -> None:
    await add_administrator(billing)
    for number in range(100):
        answer = await sign_in(billing, password="guess", address=f"198.51.100.{number}")
        assert answer.status == 401
    assert (await sign_in(billing)).status == 429
    billing.clock.advance(timedelta(seconds=61))
    assert (await sign_in(billing)).status == 200


async def test_without_the_header_the_connection_tells_the_place(billing: Billing) -> None:
    await add_administrator(billing)
    body = {"login": "admin", "password": "guess"}
    for _ in range(10):
        assert (await billing.post("/v1/login", body)).status == 401
    assert (await billing.post("/v1/login", body)).status == 429
    assert (await sign_in(billing, address="127.0.0.1")).status == 429
    assert (await sign_in(billing)).status == 200


async def test_a_place_that_is_no_address_is_refused(billing: Billing) -> None:
    answer = await sign_in(billing, address="somewhere")
    assert (answer.status, set(answer.fields())) == (422, {"Tollbell-Client-Address"})


async def test_a_right_password_clears_the_failures_before_it(billing: Billing) -> None:
    await add_administrator(billing)
    for _ in range(3):
        for _ in range(9):
            assert (await sign_in(billing, password="guess")).status == 401
        assert (await sign_in(billing)).status == 200


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"login": "admin"}, "password"),
        ({"login": "", "password": "x"}, "login"),
        ({"login": "admin", "password": None}, "password"),
        ({"login": "admin", "password": "x" * 2000}, "password"),
        ({"login": "ad\x00min", "password": "x"}, "login"),
    ],
)
async def test_a_sign_in_without_sense_is_refused(billing: Billing, body: dict[str, Any], wrong: str) -> None:
    answer = await billing.post("/v1/login", body)
    assert (answer.status, set(answer.fields())) == (422, {wrong})


async def test_the_password_is_stored_as_an_argon2id_hash_and_never_logged(
    billing: Billing, capfd: pytest.CaptureFixture[str]
) -> None:
    await add_administrator(billing)
    await sign_in(billing, password="a wrong but secret guess")
    row = await billing.database.run(lambda session: session.scalars(select(Administrator)).one())
    assert row.password_hash.startswith("$argon2id$")
    audit = await billing.database.run(lambda session: session.scalars(select(AuditEntry)).all())
    assert not any(PASSWORD in repr(entry.changes) for entry in audit)
    shown = "".join(capfd.readouterr())
    assert PASSWORD not in shown
    assert "secret guess" not in shown


async def test_settings_are_read_and_changed_one_by_one(billing: Billing) -> None:
    defaults = {
        "concurrent_call_limit": None,
        "emergency_numbers": ["9911", "4911"],
        "ring_time_s": 60,
        "unpaid_bill_limit": 3,
        "payment_term_days": 14,
        "phone_test_interval_s": 0,
        "default_plan_id": None,
        "company_name": "",
        "company_address": "",
        "company_tax_number": "",
        "payment_instructions": "",
        "locale": "en",
    }
    assert (await billing.get("/v1/settings")).body == defaults
    answer = await billing.patch("/v1/settings", {"concurrent_call_limit": 100, "emergency_numbers": ["112"]})
    assert (answer.status, answer.body) == (
        200,
        {**defaults, "concurrent_call_limit": 100, "emergency_numbers": ["112"]},
    )
    assert (await billing.patch("/v1/settings", {"concurrent_call_limit": None})).body == {
        **defaults,
        "emergency_numbers": ["112"],
    }


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"ring_time_s": 0}, "ring_time_s"),
        ({"ring_time_s": "60"}, "ring_time_s"),
        ({"concurrent_call_limit": -1}, "concurrent_call_limit"),
        ({"concurrent_call_limit": 10**30}, "concurrent_call_limit"),
        ({"emergency_numbers": ["one"]}, "emergency_numbers[0]"),
        ({"emergency_numbers": None}, "emergency_numbers"),
        ({"unpaid_bill_limit": 0}, "unpaid_bill_limit"),
        ({"payment_term_days": 366}, "payment_term_days"),
        ({"payment_term_days": 1.0}, "payment_term_days"),
        ({"closing_time": "00:00"}, "closing_time"),
        ({"phone_test_interval_s": -1}, "phone_test_interval_s"),
        ({"phone_test_interval_s": 86_401}, "phone_test_interval_s"),
        ({"default_plan_id": 404}, "default_plan_id"),
        ({"default_plan_id": 0}, "default_plan_id"),
        ({"company_name": "a\nb"}, "company_name"),
        ({"company_address": "x" * 2001}, "company_address"),
        ({"locale": "xx"}, "locale"),
        ({"locale": "../en"}, "locale"),
        ({"locale": None}, "locale"),
    ],
)
async def test_a_setting_without_sense_is_refused(
    billing: Billing, change: dict[str, Any], wrong: str
) -> None:
    before = (await billing.get("/v1/settings")).body
    answer = await billing.patch("/v1/settings", {**change})
    assert (answer.status, set(answer.fields())) == (422, {wrong})
    assert (await billing.get("/v1/settings")).body == before


async def test_the_front_page_counts(make_billing: MakeBilling) -> None:
    billing = await make_billing(timezone=ZoneInfo("America/New_York"))  # today began at 05:00 UTC
    await billing.add_account("0001")
    await billing.add_account("0002")
    await billing.post("/v1/phone-accounts/0002/suspend")
    await billing.deliver(
        call_record(1),
        unanswered_record(2),
        call_record(3, caller="7777"),
        call_record(4, status=0),
        call_record(
            5,
            invited_at="2026-11-21T04:59:59Z",
            ringing_at=None,
            answered_at="2026-11-21T04:59:59Z",
            acknowledged_at=None,
            ended_at="2026-11-21T05:00:59Z",
        ),
    )
    assert (await billing.get("/v1/overview")).body == {
        "customers": 2,
        "accounts": {"active": 1, "suspended": 1, "closed": 0},
        "calls_today": 3,
        "charged_today": "0.10",
        "open_total": "0.10",
        "unpaid_bills": 0,
        "rejected_records": 1,
    }


async def test_no_cache_keeps_what_only_some_may_read(billing: Billing) -> None:
    answer = await billing.get("/v1/customers")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"

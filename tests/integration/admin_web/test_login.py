"""Coming in and going out."""

from dataclasses import replace

import aiohttp
import pytest

from admin_web.keys import BOARD, SESSIONS
from tests.support.console import Console, field_value

PRIVATE_PAGES = [
    "/",
    "/live",
    "/live/stream",
    "/phones",
    "/customers",
    "/customers/1",
    "/accounts",
    "/accounts/0001",
    "/accounts/0001/open-bill",
    "/bills",
    "/bills/2026-000001",
    "/calls",
    "/calls/00000000000000000000000000000001",
    "/errors",
    "/session",
    "/no-such-page",
]


@pytest.mark.parametrize("path", PRIVATE_PAGES)
async def test_nobody_sees_anything_without_logging_in(console: Console, path: str) -> None:
    answer = await console.get(path, follow=False)
    assert answer.status in {303, 401}
    assert "0001" not in answer.text
    assert "Alice" not in answer.text


@pytest.mark.parametrize("path", ["/logout", "/live/end", "/accounts/0001/suspend", "/session/keep"])
async def test_nobody_does_anything_without_logging_in(console: Console, path: str) -> None:
    answer = await console.post(path, {"call_id": "live-1"})
    assert (answer.status == 303 and answer.location.startswith("/login")) or answer.status == 401
    assert "live-1" in console.exchange.calls
    assert console.billing.accounts["0001"]["state"] == "active"


async def test_the_health_needs_no_login_and_tells_nothing_private(console: Console) -> None:
    answer = await console.get("/health")
    assert (answer.status, answer.text) == (200, '{"status": "ok", "exchange": "connected"}')


async def test_logging_in_leads_to_the_page_that_was_wanted(console: Console) -> None:
    first = await console.get("/calls?number=0001&outcome=busy", follow=False)
    form = await console.get(first.location)
    answer = await console.post(
        "/login",
        {
            "login": "admin",
            "password": "correct horse",
            "csrf_token": field_value(form.text, "csrf_token"),
            "next": field_value(form.text, "next").replace("&amp;", "&"),
        },
    )
    assert (answer.status, answer.location) == (303, "/calls?number=0001&outcome=busy")
    assert (await console.get(answer.location)).status == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_logging_in_leads_nowhere_else(console: Console, target: str) -> None:
    token = field_value((await console.get("/login")).text, "csrf_token")
    answer = await console.post(
        "/login", {"login": "admin", "password": "correct horse", "csrf_token": token, "next": target}
    )
    assert (answer.status, answer.location) == (303, "/")


async def test_a_wrong_password_and_an_unknown_login_look_the_same(console: Console) -> None:
    wrong = await console.log_in(password="wrong")
    unknown = await console.log_in(login="nobody", password="wrong")
    assert wrong.status == unknown.status == 401
    assert "The login or the password is wrong." in wrong.text
    assert wrong.text.replace('value="admin"', "").count("\n") == unknown.text.count("\n")
    assert (await console.get("/live", follow=False)).status == 303


@pytest.mark.parametrize(
    "fields", [{}, {"login": "admin"}, {"password": "correct horse"}, {"login": "a" * 500, "password": "x"}]
)
async def test_an_incomplete_form_is_refused_without_asking_billing(
    console: Console, fields: dict[str, str]
) -> None:
    token = field_value((await console.get("/login")).text, "csrf_token")
    answer = await console.post("/login", fields | {"csrf_token": token})
    assert answer.status == 401
    assert not [request for request in console.billing.requests if request[1] == "/v1/login"]


async def test_a_login_form_from_another_site_is_refused(console: Console) -> None:
    await console.get("/login")
    form = {"login": "admin", "password": "correct horse"}
    for token in ({}, {"csrf_token": ""}, {"csrf_token": "guessed"}):
        answer = await console.post("/login", form | token)
        assert answer.status == 403
    assert (await console.get("/", follow=False)).status == 303


async def test_a_login_form_without_its_cookie_is_refused(console: Console) -> None:
    token = field_value((await console.get("/login")).text, "csrf_token")
    console.client.cookie_jar.clear()
    answer = await console.post(
        "/login", {"login": "admin", "password": "correct horse", "csrf_token": token}
    )
    assert answer.status == 403


async def test_too_many_failures_are_stopped_before_billing_is_asked(console: Console) -> None:
    for _ in range(10):
        assert (await console.log_in(password="wrong")).status == 401
    asked = len(console.billing.requests)
    answer = await console.log_in()
    assert answer.status == 429
    assert "Too many failed attempts." in answer.text
    assert not [request for request in console.billing.requests[asked:] if request[1] == "/v1/login"]
    console.clock.advance(minutes=1)
    assert (await console.log_in()).status == 303


async def test_who_guesses_elsewhere_does_not_lock_the_administrator_out(console: Console) -> None:
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    ) as elsewhere:
        guesser = replace(console, client=elsewhere)
        for _ in range(10):
            assert (await guesser.log_in(password="wrong")).status == 401
        assert (await guesser.log_in()).status == 429
        assert (await console.log_in()).status == 303
        assert (await guesser.log_in()).status == 429
    assert console.billing.client_addresses == ["127.0.0.2"] * 10 + ["127.0.0.1"]


async def test_billings_own_limit_is_told(console: Console) -> None:
    console.billing.login_answer = 429
    answer = await console.log_in()
    assert answer.status == 429
    assert "Too many failed attempts." in answer.text


async def test_without_billing_nobody_can_log_in_and_the_page_says_why(console: Console) -> None:
    await console.billing.stop()
    answer = await console.log_in()
    assert answer.status == 503
    assert "The billing service can&#39;t be reached" in answer.text
    await console.billing.start()
    assert (await console.log_in()).status == 303


async def test_a_wrong_service_token_is_not_taken_for_a_wrong_password(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.fake_services.TOKEN", "another token")
    answer = await console.log_in()
    assert answer.status == 503
    assert "service token" in answer.text


async def test_logging_out_ends_the_session_for_good(inside: Console) -> None:
    cookies = {cookie.key: cookie.value for cookie in inside.client.cookie_jar}
    token = await inside.csrf_token()
    answer = await inside.post("/logout", {"csrf_token": token})
    assert (answer.status, answer.location) == (303, "/login?why=logout")
    inside.client.cookie_jar.update_cookies(cookies)
    assert (await inside.get("/live", follow=False)).status == 303


async def test_who_is_logged_in_does_not_see_the_login_page(inside: Console) -> None:
    answer = await inside.get("/login?next=/live", follow=False)
    assert (answer.status, answer.location) == (303, "/live")


async def test_ten_idle_minutes_log_out(inside: Console) -> None:
    inside.clock.advance(minutes=9, seconds=50)
    assert (await inside.get("/live", follow=False)).status == 200
    inside.clock.advance(minutes=9, seconds=50)
    assert (await inside.get("/live", follow=False)).status == 200
    inside.clock.advance(minutes=10, seconds=1)
    answer = await inside.get("/live", follow=False)
    assert (answer.status, answer.location) == (303, "/login?next=/live&why=idle")
    assert "after 10 minutes without activity" in (await inside.get(answer.location)).text


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/session", {}), ("/", {"X-Tollbell-Background": "1"}), ("/static/console.js", {}), ("/health", {})],
)
async def test_what_a_page_does_by_itself_is_no_activity(
    inside: Console, path: str, headers: dict[str, str]
) -> None:
    for _ in range(3):
        inside.clock.advance(minutes=3)
        assert (await inside.get(path, headers=headers, follow=False)).status == 200
    inside.clock.advance(minutes=1, seconds=1)
    assert (await inside.get("/live", follow=False)).status == 303


async def test_the_stream_is_no_activity_and_ends_with_the_session(inside: Console) -> None:
    async with inside.client.get(inside.url / "live/stream", params={"show": "calls"}) as stream:
        assert stream.status == 200
        assert await stream.content.readuntil(b"event: calls")
        inside.clock.advance(minutes=10, seconds=1)
        rest = await stream.content.read()
    assert b"event: session-over\r\ndata: idle" in rest


async def test_typing_on_a_page_is_activity(inside: Console) -> None:
    token = await inside.csrf_token()
    inside.clock.advance(minutes=9)
    answer = await inside.post("/session/keep", {}, headers={"X-CSRF-Token": token})
    assert answer.status == 200
    inside.clock.advance(minutes=9)
    assert (await inside.get("/live", follow=False)).status == 200


async def test_a_page_can_ask_how_long_its_session_lasts(inside: Console) -> None:
    await inside.get("/live")
    inside.clock.advance(minutes=4)
    answer = await inside.get("/session")
    assert answer.text.startswith('{"remaining_ms": 3')


async def test_a_part_of_a_page_sends_the_whole_page_to_the_login(inside: Console) -> None:
    inside.clock.advance(minutes=11)
    answer = await inside.get(
        "/", headers={"HX-Request": "true", "HX-Current-URL": f"{inside.url}/accounts/0001?calls=20"}
    )
    assert answer.status == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/accounts/0001%3Fcalls%3D20&why=idle"


async def test_the_cookie_is_kept_from_scripts_and_other_sites(console: Console) -> None:
    answer = await console.log_in()
    name = console.app[SESSIONS].cookie_name
    (cookie,) = [value for value in answer.headers.getall("Set-Cookie") if value.startswith(f"{name}=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


async def test_behind_https_the_cookie_is_for_https_only(console: Console) -> None:
    form = await console.get("/login")
    answer = await console.post(
        "/login",
        {"login": "admin", "password": "correct horse", "csrf_token": field_value(form.text, "csrf_token")},
        headers={"X-Forwarded-Proto": "https"},
    )
    name = console.app[SESSIONS].cookie_name
    (cookie,) = [value for value in answer.headers.getall("Set-Cookie") if value.startswith(f"{name}=")]
    assert "Secure" in cookie


async def test_logging_out_in_one_tab_ends_the_streams_of_the_others(inside: Console) -> None:
    token = await inside.csrf_token()
    async with inside.client.get(inside.url / "live/stream", params={"show": "calls"}) as stream:
        assert await stream.content.readuntil(b"event: calls")
        await inside.post("/logout", {"csrf_token": token})
        assert b"event: session-over\r\ndata: ended" in await stream.content.read()


async def test_a_console_that_stops_ends_its_streams(inside: Console) -> None:
    async with inside.client.get(inside.url / "live/stream", params={"show": "calls"}) as stream:
        assert await stream.content.readuntil(b"event: calls")
        inside.app[BOARD].close()
        assert b"session-over" not in await stream.content.read()

"""The console in a real browser: pages that move by themselves, under a strict content policy."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import Complaints, fresh_profile
from tests.support.console import LOGIN, PASSWORD, Console
from tests.support.fake_services import iso

# One browser process for all tests of this file, so one event loop too; every test has a fresh profile.
pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=10_000)
ONE_SECOND = 1_000


async def test_an_administrator_logs_in_and_out(page: Page, console: Console, complaints: Complaints) -> None:
    await page.get_by_label("Login").fill(LOGIN)
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_have_text("The login or the password is wrong.")
    complaints.texts.clear()  # the browser reports the answer 401, which is meant
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("status")).to_have_text("You are logged out.")
    await page.goto(f"{console.url}/live")
    await expect(page).to_have_url(re.compile(r"/login\?next=/live"))


async def test_a_live_call_appears_changes_and_disappears_by_itself(inside: Page, console: Console) -> None:
    await inside.get_by_role("link", name="Live calls", exact=True).first.click()
    await expect(inside.locator("#call-live-1")).to_be_visible()
    await inside.evaluate("window.notReloaded = true")
    console.exchange.set_call("new", "0003", "0001")
    row = inside.locator("#call-new")
    await expect(row).to_contain_text("calling", timeout=ONE_SECOND)
    answered_at = datetime.now(UTC) - timedelta(hours=1, minutes=2, seconds=3)
    console.exchange.set_call("new", "0003", "0001", "answered", answered_at=iso(answered_at))
    await expect(row).to_contain_text("connected", timeout=ONE_SECOND)
    await expect(row.locator(".running")).to_have_text(re.compile(r"1:02:0\d"))
    before = await row.locator(".running").inner_text()
    await expect(row.locator(".running")).not_to_have_text(before, timeout=3 * ONE_SECOND)
    console.exchange.end("new")
    await expect(row).to_have_count(0, timeout=ONE_SECOND)
    assert await inside.evaluate("window.notReloaded")


async def test_a_call_is_ended_after_a_question(inside: Page, console: Console) -> None:
    await inside.goto(f"{console.url}/live")
    button = inside.get_by_role("button", name="End the call from 0001 to 0002")
    await button.click()
    question = inside.get_by_role("dialog")
    await expect(question).to_contain_text("End the call from 0001 to 0002?")
    await question.get_by_role("button", name="Cancel").click()
    await expect(question).to_be_hidden()
    assert "live-1" in console.exchange.calls
    await button.click()
    # The list changes under the open question; the right call is ended all the same.
    console.exchange.set_call("another", "0002", "0003")
    await expect(inside.locator("#call-another")).to_have_count(1)
    await question.get_by_role("button", name="End the call").click()
    await expect(inside.locator("#notices")).to_contain_text("The call from 0001 to 0002 is being ended.")
    await expect(inside.locator("#call-live-1")).to_have_count(0)
    assert set(console.exchange.calls) == {"another"}


async def test_the_focus_stays_where_it_is_when_the_list_changes(inside: Page, console: Console) -> None:
    await inside.goto(f"{console.url}/live")
    await inside.locator("#end-live-1").focus()
    console.exchange.set_call("another", "0002", "0003")
    await expect(inside.locator("#call-another")).to_have_count(1)
    await expect(inside.locator("#end-live-1")).to_be_focused()


async def test_the_overview_and_the_phones_follow_the_exchange(inside: Page, console: Console) -> None:
    await expect(inside.locator("#live-call-count")).to_have_text("1")
    console.exchange.set_call("new", "0003", "0001")
    await expect(inside.locator("#live-call-count")).to_have_text("2", timeout=ONE_SECOND)
    console.exchange.register("0001")
    await expect(inside.locator("#phone-count")).to_have_text("2", timeout=ONE_SECOND)
    await inside.get_by_role("link", name="Phones", exact=True).click()
    await expect(inside.get_by_role("cell", name="Phone <i>X</i>")).to_be_visible()
    console.exchange.unregister("0002")
    await expect(inside.get_by_role("cell", name="Phone <i>X</i>")).to_have_count(0, timeout=ONE_SECOND)


async def test_an_account_its_bill_and_its_suspension(inside: Page, console: Console) -> None:
    await inside.get_by_role("link", name="Accounts", exact=True).click()
    await inside.get_by_role("link", name="0001").click()
    await expect(inside.locator("#open-total")).to_contain_text("21.20")
    console.billing.add_call("0001", "0002")
    await expect(inside.locator("#open-total")).to_contain_text("21.74")
    await inside.get_by_role("link", name="2026-000001").click()
    await expect(inside.get_by_role("heading", name="Bill 2026-000001")).to_be_visible()
    await inside.get_by_role("link", name="Account 0001").click()
    await inside.get_by_role("button", name="Suspend").click()
    await inside.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    await expect(inside.get_by_role("button", name="Reactivate")).to_be_visible()
    assert console.billing.accounts["0001"]["state"] == "suspended"


async def test_ten_idle_minutes_lead_to_the_login_by_themselves(
    inside: Page, console: Console, complaints: Complaints
) -> None:
    await inside.clock.install()
    await inside.goto(f"{console.url}/live")
    await expect(inside.locator("#call-live-1")).to_be_visible()
    # Nine minutes later the stream has been busy all the time, and nobody has been.
    console.clock.advance(minutes=9)
    console.exchange.set_call("busy", "0003", "0001")
    await inside.clock.run_for(9 * 60 * 1_000)
    await expect(inside.locator("#call-busy")).to_have_count(1)
    await expect(inside).to_have_url(f"{console.url}/live")
    console.clock.advance(minutes=1, seconds=2)
    await inside.clock.run_for(62 * 1_000)
    await expect(inside).to_have_url(re.compile(r"/login\?next=(%2F|/)live&why=idle"))
    await expect(inside.get_by_role("status")).to_have_text(
        "You were logged out after 10 minutes without activity."
    )
    complaints.texts[:] = [text for text in complaints.texts if "401" not in text]
    await inside.get_by_label("Login").fill(LOGIN)
    await inside.get_by_label("Password").fill(PASSWORD)
    await inside.get_by_role("button", name="Log in").click()
    await expect(inside).to_have_url(f"{console.url}/live")


async def test_moving_the_mouse_wheel_or_typing_keeps_the_session(inside: Page, console: Console) -> None:
    await inside.clock.install()
    await inside.goto(f"{console.url}/customers")
    console.clock.advance(minutes=9)
    await inside.clock.run_for(9 * 60 * 1_000)
    async with inside.expect_response(re.compile(r"/session/keep$")) as kept:
        await inside.get_by_label("Search customers").press("a")
    assert (await kept.value).status == 200
    console.clock.advance(minutes=9)
    await inside.clock.run_for(9 * 60 * 1_000)
    await inside.goto(f"{console.url}/live")
    await expect(inside.get_by_role("heading", name="Live calls")).to_be_visible()


async def test_pages_recover_by_themselves_when_the_services_come_back(
    inside: Page, console: Console, complaints: Complaints
) -> None:
    await console.billing.stop()
    await console.exchange.stop()
    await inside.goto(f"{console.url}/accounts")
    await expect(inside.get_by_role("alert")).to_contain_text("The billing service can't be reached")
    await console.billing.start()
    await expect(inside.get_by_role("link", name="0001")).to_be_visible()
    await inside.goto(f"{console.url}/live")
    await expect(inside.get_by_text("The live calls are not known.")).to_be_visible()
    await console.exchange.start()
    await expect(inside.locator("#call-live-1")).to_be_visible()
    # Browsers note every 503, and there is nothing else to complain about.
    noted = [text for text in complaints.texts if "the server responded with a status of 503" in text]
    assert noted
    complaints.texts[:] = [text for text in complaints.texts if text not in noted]


SET_HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
CONTROLS_WITHOUT_A_NAME = """
    [...document.querySelectorAll("input:not([type=hidden]), select, button, a")]
      .filter((control) => !control.ariaLabel && !control.labels?.length && !control.textContent.trim())
      .map((control) => control.outerHTML)
"""
PAGES = [
    "/",
    "/live",
    "/phones",
    "/customers",
    "/customers/1",
    "/accounts",
    "/accounts/0001",
    "/accounts/0002",
    "/accounts/0001/open-bill",
    "/bills",
    "/bills/2026-000001",
    "/calls",
    "/calls/00000000000000000000000000000001",
    "/errors",
]


@pytest.mark.parametrize(("width", "scheme"), [(1360, "light"), (1360, "dark"), (360, "light")])
async def test_every_page_fits_and_no_policy_is_violated(
    browser: Browser, console: Console, complaints: Complaints, width: int, scheme: str
) -> None:
    async with fresh_profile(
        browser, viewport={"width": width, "height": 800}, color_scheme=scheme
    ) as context:
        page = await context.new_page()
        complaints.watch(page)
        await page.goto(f"{console.url}/login")
        await page.get_by_label("Login").fill(LOGIN)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{console.url}/")
        for path in PAGES:
            await page.goto(f"{console.url}{path}")
            assert await page.evaluate("document.documentElement.dataset.bsTheme") == scheme
            overhang = await page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overhang == 0, f"{path} is {overhang} px wider than {width} px"
            unnamed = await page.evaluate(CONTROLS_WITHOUT_A_NAME)
            assert unnamed == [], path
    assert complaints.texts == []


async def test_on_a_narrow_screen_the_menu_opens_and_leads_on(inside: Page, console: Console) -> None:
    await inside.set_viewport_size({"width": 360, "height": 700})
    await inside.goto(f"{console.url}/live")
    link = inside.get_by_role("link", name="Customers")
    await expect(link).to_be_hidden()
    await inside.get_by_role("button", name="Open the menu").click()
    await link.click()
    await expect(inside.get_by_role("heading", name="Customers")).to_be_visible()


async def test_the_live_calls_on_the_overview_survive_its_refreshing(inside: Page, console: Console) -> None:
    await expect(inside.locator("#newest-calls #call-live-1")).to_be_visible()
    asked = sum(path == "/v1/overview" for _, path, _ in console.billing.requests)
    async with inside.expect_response(lambda answer: answer.url == f"{console.url}/"):
        pass
    assert sum(path == "/v1/overview" for _, path, _ in console.billing.requests) == asked + 1
    streams = len(console.exchange.streams)
    for number in range(7):
        console.exchange.set_call(f"more-{number}", "0003", "0001")
    await expect(inside.locator("#newest-calls")).to_contain_text(
        "The newest 5 of 8 live calls.", timeout=ONE_SECOND
    )
    await expect(inside.locator("#newest-calls tbody tr")).to_have_count(5)
    assert len(console.exchange.streams) == streams == 1


async def test_a_hidden_tab_gives_its_stream_back_and_catches_up_when_it_is_shown(
    inside: Page, console: Console
) -> None:
    await inside.clock.install()
    await inside.goto(f"{console.url}/live")
    await expect(inside.locator("#call-live-1")).to_be_visible()
    await inside.evaluate(SET_HIDDEN, True)  # noqa: FBT003 (what the page is told)
    await inside.clock.run_for(11_000)
    console.exchange.set_call("meanwhile", "0003", "0001")
    console.exchange.end("live-1")
    assert await inside.evaluate("openStreams.map(stream => stream.readyState)") == [2]  # closed
    await expect(inside.locator("#call-live-1")).to_be_visible()
    await inside.evaluate(SET_HIDDEN, False)  # noqa: FBT003 (what the page is told)
    await expect(inside.locator("#call-meanwhile")).to_be_visible()
    await expect(inside.locator("#call-live-1")).to_have_count(0)
    console.exchange.set_call("later", "0002", "0003")
    await expect(inside.locator("#call-later")).to_be_visible(timeout=ONE_SECOND)

"""The console on the real system: nothing between the browser and the phones is a fake."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import Complaints, fresh_profile
from tests.support.softphone import phone
from tests.support.system import System, running_system

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("console") / "var") as system:
        yield system


async def log_in(page: Page, system: System) -> None:
    administrator = system.sample_credentials["administrator"]
    await page.goto(system.admin_url)
    await page.get_by_label("Login").fill(administrator["login"])
    await page.get_by_label("Password").fill(administrator["password"])
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_every_page_can_show_the_sample_data(
    browser: Browser, system: System, complaints: Complaints
) -> None:
    async with fresh_profile(browser) as context:
        page = await context.new_page()
        complaints.watch(page)
        await log_in(page, system)
        # One page of every kind: /calls/# stands for all calls.
        waiting = await links_by_kind(page)
        seen: set[str] = set()
        while waiting:
            kind, path = waiting.popitem()
            seen.add(kind)
            answer = await page.goto(system.admin_url + path)
            assert answer is not None
            assert answer.status == 200, path
            await expect(page.get_by_role("alert")).to_have_count(0)
            waiting |= {kind: path for kind, path in (await links_by_kind(page)).items() if kind not in seen}
        assert seen >= {
            "/live",
            "/phones",
            "/customers/#",
            "/accounts/#",
            "/accounts/#/open-bill",
            "/bills/#",
            "/calls/#",
        }
    assert complaints.texts == []


async def links_by_kind(page: Page) -> dict[str, str]:
    """The links of a page, one of a kind, to other pages of the console."""
    paths = await page.evaluate("[...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    kinds = {}
    for path in paths:
        if path.startswith("/"):
            kinds[re.sub(r"^/(customers|accounts|bills|calls)/[^/?]+", r"/\1/#", path.partition("?")[0])] = (
                path
            )
    return kinds


async def test_a_real_call_is_seen_ended_and_found_on_the_open_bill(
    browser: Browser, system: System, complaints: Complaints
) -> None:
    passwords = {entry["number"]: entry["password"] for entry in system.sample_credentials["phones"]}
    server = system.sip_server("udp")
    async with fresh_profile(browser) as context:
        live, account = await context.new_page(), await context.new_page()
        complaints.watch(live)
        await log_in(live, system)
        await live.goto(f"{system.admin_url}/live")
        with (
            phone("0001", passwords["0001"], server=server) as alice,
            phone("0002", passwords["0002"], server=server) as bob,
        ):
            alice.register()
            bob.register()
            await account.goto(f"{system.admin_url}/accounts/0001")
            await expect(account.get_by_text("registered", exact=True)).to_be_visible()
            calls = await account.get_by_text(re.compile(r"^Calls \(\d+\)$")).inner_text()
            row = live.locator("tbody tr")
            alice.call("0002")
            await expect(row).to_contain_text(["0001"], timeout=1_000)
            bob.wait_for_ring()
            bob.answer()
            await expect(row).to_contain_text("connected", timeout=1_000)
            alice.wait_until_talking()
            await row.get_by_role("button").click()
            await live.get_by_role("dialog").get_by_role("button", name="End the call").click()
            await expect(row).to_have_count(0)
            alice.wait_for_end()
            bob.wait_for_end()
        more = f"Calls ({int(re.sub(r'[^0-9]', '', calls)) + 1})"
        await expect(account.get_by_text(more, exact=True)).to_be_visible(timeout=15_000)
        newest = account.locator("#calls tbody tr").first
        await expect(newest).to_contain_text("0002")
        await expect(newest).to_contain_text("answered")
        await expect(newest.get_by_role("link", name="open", exact=True)).to_be_visible()
    assert complaints.texts == []

"""A browser in front of a console with a small phone network behind it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.browser import Complaints, chromium, fresh_profile
from tests.support.console import LOGIN, PASSWORD, Console, running_console
from tests.support.console_data import small_network
from tests.support.distribution import make_once


@pytest_asyncio.fixture(loop_scope="session")
async def console() -> AsyncIterator[Console]:
    async with running_console(prepare=small_network) as console:
        yield console


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """The browser that all tests share."""
    make_once(tmp_path_factory, "the browser")
    async with chromium() as browser:
        yield browser


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, console: Console, complaints: Complaints) -> AsyncIterator[Page]:
    """A page at the console's log-in; the browser must have nothing to complain about at the end."""
    async with fresh_profile(browser, viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(15_000)
        page = await context.new_page()
        complaints.watch(page)
        await page.goto(str(console.url))
        yield page
    assert complaints.texts == []


@pytest_asyncio.fixture(loop_scope="session")
async def inside(page: Page, console: Console) -> Page:
    """A page of an administrator who is logged in, at the overview."""
    await page.get_by_label("Login").fill(LOGIN)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(str(console.url) + "/")
    return page

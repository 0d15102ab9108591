"""A real browser for tests: Debian's chromium, headless, with fresh profiles, gone at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@dataclass
class Complaints:
    """What the browser complained about: script errors, refused files, violations of the content policy."""

    texts: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._take_message)
        page.on("pageerror", lambda error: self.texts.append(f"error: {error}"))

    def _take_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.texts.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser process of this test's own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=60_000)
        try:
            yield browser
        finally:
            await browser.close()
    # The driver's pipes are closed by callbacks of the event loop: give them their turn before it ends.
    await asyncio.sleep(0)


@asynccontextmanager
async def fresh_profile(browser: Browser, **options: object) -> AsyncIterator[BrowserContext]:
    """Cookies, cache and storage of nobody."""
    context = await browser.new_context(**options)  # type: ignore[arg-type]
    try:
        yield context
    finally:
        await context.close()

"""The admin console on a free port, against fake services, with a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from admin_web.app import make_app
from admin_web.settings import ListenAddress, Settings
from tests.support.fake_billing_api import FakeBilling
from tests.support.fake_services import TOKEN, FakeExchange

LOGIN = "admin"
PASSWORD = "correct horse"


async def eventually(condition: Callable[[], bool], what: str, *, within_s: float = 10) -> None:
    """Wait until `condition` holds; fail with `what` when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.01)


@dataclass
class ShiftedClock:
    """Real time, moved on by `advance`."""

    shift: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def advance(self, **delta: float) -> None:
        self.shift += timedelta(**delta)


@dataclass
class Answer:
    status: int
    text: str
    headers: CIMultiDictProxy[str]
    path: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


@dataclass
class Console:
    """A running console and one browser's cookies."""

    app: web.Application
    url: URL
    billing: FakeBilling
    exchange: FakeExchange
    clock: ShiftedClock
    client: aiohttp.ClientSession

    async def get(self, path: str, *, follow: bool = True, headers: dict[str, str] | None = None) -> Answer:
        headers = {"Accept": "text/html"} | (headers or {})
        async with self.client.get(
            self.url.join(URL(path, encoded=True)), headers=headers, allow_redirects=follow
        ) as answer:
            return Answer(answer.status, await answer.text(), answer.headers, answer.url.path_qs)

    async def post(
        self, path: str, form: dict[str, str], *, follow: bool = False, headers: dict[str, str] | None = None
    ) -> Answer:
        headers = {"Accept": "text/html"} | (headers or {})
        async with self.client.post(
            self.url.join(URL(path)), data=form, headers=headers, allow_redirects=follow
        ) as answer:
            return Answer(answer.status, await answer.text(), answer.headers, answer.url.path_qs)

    async def log_in(self, *, login: str = LOGIN, password: str = PASSWORD, target: str = "/") -> Answer:
        """Load the log-in page, fill in its form and send it."""
        form = await self.get(f"/login?next={target}")
        fields = {"csrf_token": field_value(form.text, "csrf_token"), "next": field_value(form.text, "next")}
        return await self.post("/login", fields | {"login": login, "password": password})

    async def csrf_token(self) -> str:
        return field_value((await self.get("/live")).text, "csrf_token")


def field_value(html: str, name: str) -> str:
    """The value of the first hidden field of that name on a page."""
    _, _, rest = html.partition(f'name="{name}" value="')
    value, _, _ = rest.partition('"')
    return value


@asynccontextmanager
async def running_console(
    *, prepare: Callable[[FakeBilling, FakeExchange], None] | None = None, wait_for_exchange: bool = True
) -> AsyncIterator[Console]:
    """A console with its two fake services, all of it stopped at the end."""
    billing, exchange, clock = FakeBilling(), FakeExchange(), ShiftedClock()
    if prepare is not None:
        prepare(billing, exchange)
    await billing.start()
    await exchange.start()
    settings = Settings(
        listen=ListenAddress("127.0.0.1", 0),
        billing_url=URL(f"http://{billing.address}"),
        exchange_url=URL(f"http://{exchange.address}"),
        service_token=TOKEN,
        session_secret="a secret of the tests, long enough",
    )
    app = make_app(settings, clock=clock)
    runner = web.AppRunner(app, shutdown_timeout=2, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = URL.build(scheme="http", host="127.0.0.1", port=runner.addresses[0][1])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        try:
            if wait_for_exchange:
                await eventually(lambda: bool(exchange.streams), "the console follows the exchange")
            yield Console(app, url, billing, exchange, clock, client)
        finally:
            await runner.cleanup()
            await exchange.stop()
            await billing.stop()

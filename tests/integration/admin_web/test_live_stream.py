"""Pages that follow the exchange: one connection to it, pieces of HTML to every browser."""

import asyncio
import time

import aiohttp
import pytest
from yarl import URL

from admin_web.event_stream import EventStreamParser, ServerSentEvent
from admin_web.keys import BOARD
from tests.support.console import Console, eventually


class Stream:
    """One browser's stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._parser = EventStreamParser()
        self._waiting: list[ServerSentEvent] = []

    async def next(self, name: str, *, containing: str = "", within_s: float = 5) -> str:
        """The data of the next event of that name that contains a text."""
        async with asyncio.timeout(within_s):
            while True:
                for event in [event for event in self._waiting if event.name == name]:
                    self._waiting.remove(event)
                    if containing in event.data:
                        return event.data
                self._waiting += self._parser.receive(await self._response.content.readany())
                if self._response.content.at_eof():
                    raise AssertionError("the stream ended")


def stream_of(console: Console, show: str) -> "aiohttp.client._RequestContextManager":
    return console.client.get(console.url.join(URL(f"/live/stream?show={show}")))


async def test_a_stream_begins_with_what_is_so_now(inside: Console) -> None:
    async with stream_of(inside, "calls,phones,figures") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        stream = Stream(response)
        assert "End the call from 0001 to 0002?" in await stream.next("calls")
        assert "Phone &lt;i&gt;X&lt;/i&gt;" in await stream.next("phones")
        assert 'id="live-call-count">1<' in await stream.next("figures")


async def test_a_call_appears_changes_and_disappears_as_it_happens(inside: Console) -> None:
    async with stream_of(inside, "calls") as response:
        stream = Stream(response)
        await stream.next("calls")
        for change, expected in (
            (lambda: inside.exchange.set_call("new", "0003", "0001"), "calling"),
            (lambda: inside.exchange.set_call("new", "0003", "0001", "ringing"), 'id="call-new"'),
            (
                lambda: inside.exchange.set_call(
                    "new", "0003", "0001", "answered", answered_at="2026-11-21T20:00:00Z"
                ),
                "connected",
            ),
        ):
            started = time.monotonic()
            change()
            await stream.next("calls", containing=expected)
            assert time.monotonic() - started < 5
        started = time.monotonic()
        inside.exchange.end("new")
        assert "call-new" not in await stream.next("calls")
        assert time.monotonic() - started < 5


async def test_only_what_a_page_shows_is_sent_to_it(inside: Console) -> None:
    async with stream_of(inside, "phones") as response:
        stream = Stream(response)
        await stream.next("phones")
        inside.exchange.set_call("new", "0003", "0001")
        inside.exchange.register("0003")
        await stream.next("phones", containing="0003")
        assert not [event for event in stream._waiting if event.name != "phones"]


async def test_many_changes_at_once_become_few_events(inside: Console) -> None:
    async with stream_of(inside, "calls") as response:
        stream = Stream(response)
        await stream.next("calls")
        for number in range(300):
            inside.exchange.set_call(f"burst-{number}", "0003", "0001")
        data = await stream.next("calls", containing="of 301 live calls")
        assert data.count("<tr id=") == 200


async def test_any_number_of_browsers_share_one_connection_to_the_exchange(inside: Console) -> None:
    async with (
        stream_of(inside, "calls") as one,
        stream_of(inside, "calls") as two,
        stream_of(inside, "phones"),
    ):
        await Stream(one).next("calls")
        await Stream(two).next("calls")
        assert len(inside.exchange.streams) == 1


async def test_browsers_that_leave_are_forgotten_and_hold_up_nobody(inside: Console) -> None:
    async with stream_of(inside, "calls") as response:
        await Stream(response).next("calls")
    async with stream_of(inside, "calls") as response:
        stream = Stream(response)
        await stream.next("calls")
        inside.exchange.set_call("new", "0003", "0001")
        await stream.next("calls", containing="call-new")


async def test_an_exchange_that_goes_away_is_told_and_its_return_too(inside: Console) -> None:
    async with stream_of(inside, "calls,figures") as response:
        stream = Stream(response)
        await stream.next("calls")
        await inside.exchange.stop()
        assert "0001" not in await stream.next("calls", containing="The live calls are not known.")
        await stream.next("figures", containing="exchange away")
        inside.exchange.calls.clear()
        inside.exchange.set_call("after", "0002", "0003")
        await inside.exchange.start()
        data = await stream.next("calls", containing="call-after")
        assert "call-live-1" not in data


async def test_pages_say_that_the_exchange_is_away_and_recover(inside: Console) -> None:
    await inside.exchange.stop()
    await eventually(lambda: inside.app[BOARD].connected is False, "the console notices")
    live = await inside.get("/live")
    assert (live.status, "The live calls are not known." in live.text) == (200, True)
    overview = await inside.get("/")
    assert overview.status == 200
    assert "The exchange can&#39;t be reached" in overview.text
    assert "tries again by itself" in overview.text
    assert "12.34" in overview.text
    await inside.exchange.start()
    await eventually(lambda: inside.app[BOARD].connected, "the console reconnects")
    assert "call-live-1" in (await inside.get("/live")).text


@pytest.mark.parametrize("show", ["", "nothing", "calls%20"])
async def test_a_stream_of_nothing_is_refused(inside: Console, show: str) -> None:
    assert (await inside.get(f"/live/stream?show={show}")).status == 404


async def test_an_event_that_breaks_the_contract_is_told_and_a_fresh_snapshot_asked_for(
    inside: Console,
) -> None:
    async with stream_of(inside, "calls") as response:
        stream = Stream(response)
        await stream.next("calls")
        inside.exchange._tell("call", {"id": "live-1"})
        await stream.next("calls", containing="sends events that this console does not understand")
        await stream.next("calls", containing="call-live-1")
    await eventually(lambda: len(inside.exchange.streams) == 1, "the connection before is closed")


async def test_a_service_token_that_the_exchange_refuses_is_told(
    inside: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.fake_services.TOKEN", "another token")
    await inside.exchange.stop()
    await inside.exchange.start()
    async with stream_of(inside, "calls") as response:
        await Stream(response).next("calls", containing="refuses the console&#39;s service token")

"""The control API, against an exchange of the test's own (`docs/api/control.md`)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from yarl import URL

from sip_proxy.adapters.control.api import make_control_api
from sip_proxy.adapters.control.exchange import Health, Information, State
from sip_proxy.adapters.event_hub import EventHub, encode_event
from sip_proxy.adapters.ladder import Ladder, LadderMessage
from sip_proxy.adapters.metrics import Measurement, Metrics
from sip_proxy.core.outputs import LiveCall, LiveCallState, PhoneTested, Registration

TOKEN = "hush"
CALL = LiveCall("5f0c", "a@b", "0001", "0002", LiveCallState.RINGING, False, 1.0, 2.0, None)  # noqa: FBT003
CALL_JSON = {
    "id": "5f0c",
    "call_id": "a@b",
    "caller": "0001",
    "callee": "0002",
    "state": "ringing",
    "emergency": False,
    "invited_at": "1970-01-01T00:00:01.000000Z",
    "ringing_at": "1970-01-01T00:00:02.000000Z",
    "answered_at": None,
}
REGISTRATION = Registration(
    "0001", "sip:0001@192.0.2.1:5062", "UDP", "192.0.2.1:5062", "phone 1", 60.0, 3660.0
)
REGISTRATION_JSON = {
    "number": "0001",
    "contact": "sip:0001@192.0.2.1:5062",
    "transport": "UDP",
    "source": "192.0.2.1:5062",
    "user_agent": "phone 1",
    "registered_at": "1970-01-01T00:01:00.000000Z",
    "expires_at": "1970-01-01T01:01:00.000000Z",
    "in_service": True,
}


STATE = State(
    is_online=True,
    drain_ends_at=None,
    drain_remaining_s=None,
    live_calls=1,
    concurrent_call_limit=200,
    emergency_numbers=("4911", "9911"),
    ring_time_s=60,
)
STATE_JSON = {
    "online": True,
    "drain_ends_at": None,
    "drain_remaining_s": None,
    "live_calls": 1,
    "concurrent_call_limit": 200,
    "emergency_numbers": ["4911", "9911"],
    "ring_time_s": 60,
}


TESTED = PhoneTested("0001", "sip:0001@192.0.2.1:5062", True, 200, 0.0123, 60.0, True)  # noqa: FBT003
LADDER = Ladder("a@b", [LadderMessage(1.0, "192.0.2.1:5062 UDP", True, "INVITE sip:x SIP/2.0", "INVITE")], {})  # noqa: FBT003


class FakeExchange:
    """An exchange with one call and one phone."""

    def __init__(self) -> None:
        self.its_health = Health(
            is_ready=True, directory_version=42, is_journal_available=True, undelivered_records=3
        )
        self.ended: list[str] = []
        self.its_state = STATE
        self.tested: list[str] = []
        self.reset: list[str] = []

    def health(self) -> Health:
        return self.its_health

    def information(self) -> Information:
        return Information("0.1.0", "tollbell.local", ("udp:127.0.0.1:5060",), 0.0)

    def state(self) -> State:
        return self.its_state

    def go_offline(self, drain_s: float | None) -> None:
        ends_at = None if drain_s is None else 1000.0 + drain_s
        self.its_state = replace(STATE, is_online=False, drain_ends_at=ends_at, drain_remaining_s=drain_s)

    def go_online(self) -> None:
        self.its_state = STATE

    def ladder(self, call_id: str) -> Ladder | None:
        return LADDER if call_id in {CALL.id, "a@b", "odd/id?"} else None

    def test_phone(self, number: str) -> bool:
        self.tested.append(number)
        return number == "0001"

    def test_all_phones(self) -> int:
        return 3

    def phone_tests(self) -> list[PhoneTested]:
        return [TESTED]

    def reset_phone(self, number: str) -> bool:
        self.reset.append(number)
        return number == "0001"

    def end_all_calls(self) -> int:
        self.ended.append("all")
        return 7

    def live_calls(self) -> list[LiveCall]:
        return [CALL]

    def registrations(self) -> list[Registration]:
        return [REGISTRATION]

    def end_call(self, call_id: str) -> bool:
        self.ended.append(call_id)
        return call_id == CALL.id


Client = TestClient[Request, Application]


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


@pytest.fixture
def events() -> EventHub:
    return EventHub(queue_size=10)


@pytest.fixture
async def client(exchange: FakeExchange, events: EventHub) -> AsyncIterator[Client]:
    metrics = Metrics(
        [
            Measurement.gauge("live_calls", "Calls", lambda: 1),
            Measurement.counter("call_attempts", "Attempts", lambda: {"answered": 2}, "outcome"),
        ]
    )
    app = make_control_api(exchange, events=events, metrics=metrics, service_token=TOKEN)
    async with TestClient(TestServer(app), headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


async def answer_of(response: ClientResponse) -> tuple[int, Any]:
    async with response:
        return response.status, await response.json(content_type=None)


async def test_health(client: Client) -> None:
    assert await answer_of(await client.get("/health")) == (
        200,
        {"status": "ok", "directory_version": 42, "journal": "ok", "undelivered_records": 3},
    )


async def test_health_while_starting(client: Client, exchange: FakeExchange) -> None:
    exchange.its_health = replace(exchange.its_health, is_ready=False, is_journal_available=False)
    status, answer = await answer_of(await client.get("/health"))

    assert (status, answer["status"], answer["journal"]) == (503, "starting", "failed")


async def test_info(client: Client) -> None:
    assert await answer_of(await client.get("/v1/info")) == (
        200,
        {
            "name": "sip_proxy",
            "version": "0.1.0",
            "domain": "tollbell.local",
            "listening": ["udp:127.0.0.1:5060"],
            "started_at": "1970-01-01T00:00:00.000000Z",
        },
    )


async def test_calls_and_registrations(client: Client) -> None:
    assert await answer_of(await client.get("/v1/calls")) == (200, {"items": [CALL_JSON]})
    assert await answer_of(await client.get("/v1/registrations")) == (200, {"items": [REGISTRATION_JSON]})


async def test_ends_a_call(client: Client, exchange: FakeExchange) -> None:
    async with await client.delete("/v1/calls/5f0c") as response:
        assert response.status == 202
    assert exchange.ended == ["5f0c"]


async def test_ends_all_calls(client: Client, exchange: FakeExchange) -> None:
    assert await answer_of(await client.delete("/v1/calls")) == (202, {"ended": 7})
    assert exchange.ended == ["all"]


async def test_state(client: Client) -> None:
    assert await answer_of(await client.get("/v1/state")) == (200, STATE_JSON)


async def test_offline_with_a_drain_time_and_online_again(client: Client, events: EventHub) -> None:
    draining = {
        **STATE_JSON,
        "online": False,
        "drain_ends_at": "1970-01-01T00:18:10.000000Z",
        "drain_remaining_s": 90.0,
    }
    with events.subscribe() as watcher:
        status, state = await answer_of(
            await client.put("/v1/state", json={"online": False, "drain_minutes": 1.5})
        )
        assert (status, state) == (200, draining)
        assert await watcher.next() == encode_event("state", draining)
        assert await answer_of(await client.put("/v1/state", json={"online": True})) == (200, STATE_JSON)
        assert await watcher.next() == encode_event("state", STATE_JSON)


async def test_offline_without_a_drain_time_lets_calls_go_on(client: Client) -> None:
    _, state = await answer_of(await client.put("/v1/state", json={"online": False}))

    assert (state["online"], state["drain_ends_at"]) == (False, None)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "[" * 30_000,
        '"online"',
        "{}",
        '{"online": "no"}',
        '{"online": 0}',
        '{"online": false, "drain_minutes": -1}',
        '{"online": false, "drain_minutes": 1441}',
        '{"online": false, "drain_minutes": "5"}',
        '{"online": false, "drain_minutes": true}',
        '{"online": false, "drain_minutes": NaN}',
        '{"online": false, "drain_minutes": 1e999}',
        '{"online": true, "drain_minutes": 5}',
        '{"online": false, "drain": 5}',
    ],
)
async def test_a_state_that_makes_no_sense_is_refused(
    client: Client, exchange: FakeExchange, body: str
) -> None:
    async with await client.put("/v1/state", data=body) as response:
        assert response.status == 422
        assert response.content_type == "application/problem+json"
        assert (await response.json(content_type=None))["detail"]
    assert exchange.its_state is STATE


@pytest.mark.parametrize("call_id", ["5f0c", "a@b", "odd%2Fid%3F"])
async def test_a_ladder_as_text(client: Client, call_id: str) -> None:
    async with await client.get(URL(f"/v1/calls/{call_id}/ladder", encoded=True)) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/plain", "utf-8")
        assert "INVITE" in await response.text()


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/v1/calls/5f0c/ladder", "image/svg+xml,*/*"), ("/v1/calls/5f0c/ladder?format=svg", "*/*")],
)
async def test_a_ladder_as_a_picture_that_runs_nothing(client: Client, path: str, accept: str) -> None:
    async with await client.get(path, headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (200, "image/svg+xml")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert (await response.text()).startswith("<svg")


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/calls/none/ladder", 404), ("/v1/calls/5f0c/ladder?format=pdf", 400)]
)
async def test_a_ladder_that_there_is_not(client: Client, path: str, status: int) -> None:
    async with await client.get(path) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")


async def test_phone_tests(client: Client, exchange: FakeExchange) -> None:
    result = {
        "number": "0001",
        "contact": "sip:0001@192.0.2.1:5062",
        "ok": True,
        "status": 200,
        "round_trip_ms": 12.3,
        "in_service": True,
        "at": "1970-01-01T00:01:00.000000Z",
    }
    assert await answer_of(await client.get("/v1/phone-tests")) == (200, {"items": [result]})
    assert await answer_of(await client.post("/v1/phone-tests")) == (202, {"numbers": 3})
    for verb, done in (("test", exchange.tested), ("reset", exchange.reset)):
        async with await client.post(f"/v1/phones/0001/{verb}") as response:
            assert response.status == 202
        async with await client.post(f"/v1/phones/7777/{verb}") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")
        assert done == ["0001", "7777"]


async def test_there_may_be_no_such_call(client: Client) -> None:
    async with await client.delete("/v1/calls/none") as response:
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)

    assert (response.status, problem["status"], problem["title"]) == (404, 404, "Not Found")
    assert "none" in problem["detail"]


@pytest.mark.parametrize(
    "token", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer hüsh"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/info"),
        ("GET", "/v1/calls"),
        ("GET", "/v1/registrations"),
        ("GET", "/v1/events"),
        ("DELETE", "/v1/calls/5f0c"),
        ("DELETE", "/v1/calls"),
        ("GET", "/v1/state"),
        ("GET", "/v1/calls/5f0c/ladder"),
        ("GET", "/v1/phone-tests"),
        ("POST", "/v1/phone-tests"),
        ("POST", "/v1/phones/0001/test"),
        ("POST", "/v1/phones/0001/reset"),
        ("PUT", "/v1/state"),
        ("GET", "/v1/unknown"),
    ],
)
async def test_nothing_without_the_token(
    client: Client, exchange: FakeExchange, token: str | None, method: str, path: str
) -> None:
    headers = {} if token is None else {"Authorization": token}
    async with (
        ClientSession() as stranger,
        stranger.request(method, client.make_url(path), headers=headers) as response,
    ):
        assert response.status == 401
        assert response.content_type == "application/problem+json"
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert exchange.ended == exchange.tested == exchange.reset == []


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_health_and_metrics_are_open(client: Client, path: str) -> None:
    async with ClientSession() as stranger, stranger.get(client.make_url(path)) as response:
        assert response.status == 200


async def test_unknown_paths_and_methods_are_problems(client: Client) -> None:
    status, problem = await answer_of(await client.get("/v1/unknown"))
    assert (status, problem["status"]) == (404, 404)
    async with await client.post("/v1/calls") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        assert response.content_type == "application/problem+json"


async def test_metrics(client: Client) -> None:
    async with await client.get("/metrics") as response:
        text = await response.text()

    assert "tollbell_live_calls 1.0" in text
    assert 'tollbell_call_attempts_total{outcome="answered"} 2.0' in text
    assert "process_cpu_seconds_total" in text


async def next_event(response: ClientResponse) -> tuple[str, Any]:
    kind = (await response.content.readline()).decode()
    data = (await response.content.readline()).decode()
    assert await response.content.readline() == b"\n"
    return kind.removeprefix("event: ").rstrip(), json.loads(data.removeprefix("data: "))


async def test_events_begin_with_a_snapshot_and_go_on_with_changes(client: Client, events: EventHub) -> None:
    async with await client.get("/v1/events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await next_event(response) == (
            "snapshot",
            {"calls": [CALL_JSON], "registrations": [REGISTRATION_JSON], "state": STATE_JSON},
        )
        events.publish("call", {"id": "5f0c", "state": "ended"})
        events.publish("registration", {"number": "0001", "registrations": []})
        assert await next_event(response) == ("call", {"id": "5f0c", "state": "ended"})
        assert await next_event(response) == ("registration", {"number": "0001", "registrations": []})


async def test_a_slow_watcher_is_disconnected_and_the_others_go_on(client: Client, events: EventHub) -> None:
    async with await client.get("/v1/events") as slow, await client.get("/v1/events") as quick:
        await next_event(slow)
        await next_event(quick)
        # More than the queue and the buffers of both ends hold, and nothing is read meanwhile.
        for _ in range(11):
            events.publish("call", {"id": "x" * 1_000_000})
        with pytest.raises(ClientPayloadError):
            await slow.content.read()
        async with await client.get("/v1/events") as again:
            assert (await next_event(again))[0] == "snapshot"


async def test_nobody_is_subscribed_after_watchers_have_left(client: Client, events: EventHub) -> None:
    response = await client.get("/v1/events")
    await next_event(response)
    assert events.has_watchers
    response.close()
    for _ in range(1000):
        if not events.has_watchers:
            break
        events.publish("call", {})
        await asyncio.sleep(0.002)
    assert not events.has_watchers


async def test_watchers_are_let_go_when_the_exchange_stops(client: Client, events: EventHub) -> None:
    async with await client.get("/v1/events") as response:
        await next_event(response)
        await client.server.close()
        assert await asyncio.wait_for(response.content.read(), 5) == b""

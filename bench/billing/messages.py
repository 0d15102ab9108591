"""What a call costs that comes as a start and an end event: posted, posted with a broker, or published to it.

The CPU that billing, PostgreSQL and RabbitMQ use is counted, not that of the client.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import aio_pika
import aiohttp

from bench.billing.population import MONTH, add_accounts
from bench.billing.server import TOKEN, Server, Service, cpu_s, running_server, running_service
from billing_service.broker import CALL_EVENTS
from billing_service.domain.call_event import CallEvent, EventKind
from tests.support.rabbitmq import RabbitServer

_ACCOUNTS = 100
_AT_ONCE = 16
_LOOK_S = 0.05
_LONGEST_S = 120.0

Send = Callable[[Sequence[CallEvent]], Awaitable[None]]


@dataclass(frozen=True)
class CostOfEvents:
    """Milliseconds of CPU for one call of two events, and how many calls a second were stored."""

    way: str
    billing_ms: float
    postgres_ms: float
    broker_ms: float
    calls_per_s: float


def take_events(calls: int) -> list[CostOfEvents]:
    """Let so many calls come in by each of the ways."""
    rabbit = RabbitServer()
    try:
        rabbit.start()
        with running_server() as server:
            add_accounts(server, _ACCOUNTS)
            server.analyse()
            costs = []
            with running_service(server) as service:
                meter = _Meter(server, service, None)
                costs.append(meter.measure("`POST /v1/call`, no broker", _posting(service), 0, calls))
            with running_service(server, TOLLBELL_BROKER_URL=rabbit.url) as service:
                meter = _Meter(server, service, rabbit)
                costs.append(meter.measure("`POST /v1/call`, by the broker", _posting(service), calls, calls))
                publishing = _publishing(rabbit.url)
                costs.append(meter.measure("published to the queue", publishing, 2 * calls, calls))
            return costs
    finally:
        rabbit.stop()


@dataclass(frozen=True)
class _Meter:
    """Sends calls, and tells what it cost until the last one was stored."""

    server: Server
    service: Service
    rabbit: RabbitServer | None

    def measure(self, way: str, send: Send, first: int, calls: int) -> CostOfEvents:
        """Send the calls from a number on, after some that don't count."""
        return asyncio.run(self._measure(way, send, first, calls))

    async def _measure(self, way: str, send: Send, first: int, calls: int) -> CostOfEvents:
        warm_up = calls // 10
        await send(_events(first, warm_up))
        await self._stored(first + warm_up)
        before, began = self._used(), asyncio.get_running_loop().time()
        await send(_events(first + warm_up, calls - warm_up))
        await self._stored(first + calls)
        took_s = asyncio.get_running_loop().time() - began
        billing, postgres, broker = (
            1000 * (now - then) / (calls - warm_up) for now, then in zip(self._used(), before, strict=True)
        )
        return CostOfEvents(way, billing, postgres, broker, (calls - warm_up) / took_s)

    def _used(self) -> tuple[float, float, float]:
        broker = 0.0 if self.rabbit is None else sum(map(cpu_s, self.rabbit.pids))
        return self.service.cpu_s(), self.server.cpu_s(), broker

    async def _stored(self, calls: int) -> None:
        async with asyncio.timeout(_LONGEST_S):
            # Another program stores them; it is seen in the database only.
            while self.server.sql("SELECT count(*) FROM calls")[0][0] < calls:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)


def _events(first: int, calls: int) -> list[CallEvent]:
    """Start and end of each call, a minute apart, one after the other."""
    events = []
    for number in range(first, first + calls):
        at = MONTH + timedelta(seconds=60 + number)
        caller, call_id = f"{number % _ACCOUNTS + 1:06d}", f"call-{number}"
        events.append(CallEvent(f"s{number}", EventKind.START, at, call_id, caller, "0521234567"))
        ended = at + timedelta(minutes=1)
        events.append(CallEvent(f"e{number}", EventKind.END, ended, call_id, None, None))
    return events


def _posting(service: Service) -> Send:
    url, headers = f"http://127.0.0.1:{service.port}/v1/call", {"Authorization": f"Bearer {TOKEN}"}

    async def send(events: Sequence[CallEvent]) -> None:
        async with aiohttp.ClientSession(headers=headers) as session:

            async def post(event: CallEvent) -> None:
                async with session.post(url, json=event.to_document()) as answer:
                    assert answer.status == 202, await answer.text()

            await _some_at_once(post, events)

    return send


def _publishing(url: str) -> Send:
    async def send(events: Sequence[CallEvent]) -> None:
        async with await aio_pika.connect(url) as connection:
            exchange = (await connection.channel(publisher_confirms=True)).default_exchange

            async def publish(event: CallEvent) -> None:
                body = json.dumps(event.to_document()).encode()
                message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await exchange.publish(message, CALL_EVENTS)

            await _some_at_once(publish, events)

    return send


async def _some_at_once(do: Callable[[CallEvent], Awaitable[None]], events: Sequence[CallEvent]) -> None:
    waiting = iter(events)

    async def work() -> None:
        for event in waiting:
            await do(event)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())

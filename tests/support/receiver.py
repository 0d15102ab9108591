"""Somebody who gets events by webhook: keeps what came, and answers as the test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDictProxy

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    """One request."""

    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """A web server that takes what is posted to it. `statuses` are answered first, then 204."""

    server: TestServer
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answering: Answering | None = None
    under_way: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))

    @property
    def kinds(self) -> list[str]:
        return [one.event["type"] for one in self.received]

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(request.headers, await request.read()))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            if self.answering is not None:
                return await self.answering(request)
            return web.Response(status=self.statuses.pop(0) if self.statuses else 204)
        finally:
            self.under_way -= 1

    async def has(self, count: int) -> None:
        """Return once so many requests have come."""
        async with asyncio.timeout(60):
            while len(self.received) < count:
                await asyncio.sleep(0.01)


MakeReceiver = Callable[[], Awaitable[Receiver]]


@pytest_asyncio.fixture
async def make_receiver() -> AsyncIterator[MakeReceiver]:
    """Start receivers on free ports: `await make_receiver()`."""
    servers: list[TestServer] = []

    async def start() -> Receiver:
        app = web.Application()
        server = TestServer(app)
        receiver = Receiver(server)
        app.router.add_post("/hook", receiver.take)
        servers.append(server)
        await server.start_server(shutdown_timeout=0.1)
        return receiver

    yield start
    for server in servers:
        await server.close()


@pytest_asyncio.fixture
async def receiver(make_receiver: MakeReceiver) -> Receiver:
    """One receiver."""
    return await make_receiver()

"""The exchange as the console sees it, and what both fake servers share. They speak `docs/api`.

They are for the console's own tests. What is asked of them is recorded, and they can be taken away and put
back on the same port.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

TOKEN = "test-service-token"
NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def problem(status: int, title: str, detail: str = "", **headers: str) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": []}
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


@dataclass
class FakeServer:
    """A server on a free port of 127.0.0.1 that can stop and start again on the same port."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._runner is not None

    async def start(self) -> None:
        app = web.Application(middlewares=[self._check])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    @web.middleware
    async def _check(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs, request.headers.get("Tollbell-Actor", "")))
        if request.path != "/health" and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "Not authenticated", **{"WWW-Authenticate": "Bearer"})
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return problem(404, "Not found", "There is no such thing.")


@dataclass
class FakeExchange(FakeServer):
    """`docs/api/control.md`: live calls and registrations, and the event stream that tells of them."""

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    registrations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    streams: list["asyncio.Queue[tuple[str, Any] | None]"] = field(default_factory=list)
    refuse_to_end: bool = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/v1/info", self._info),
            web.get("/v1/calls", self._list_calls),
            web.delete("/v1/calls/{id}", self._end_call),
            web.get("/v1/registrations", self._list_registrations),
            web.get("/v1/events", self._events),
        ]

    async def stop(self) -> None:
        for queue in self.streams:
            queue.put_nowait(None)
        await super().stop()

    def set_call(self, call_id: str, caller: str, callee: str, state: str = "inviting", **more: Any) -> None:
        known = self.calls.get(
            call_id, {"invited_at": iso(datetime.now(UTC)), "ringing_at": None, "answered_at": None}
        )
        self.calls[call_id] = {
            **known,
            "id": call_id,
            "call_id": f"{call_id}@192.0.2.7",
            "caller": caller,
            "callee": callee,
            "state": state,
            "emergency": False,
            **more,
        }
        self._tell("call", self.calls[call_id])

    def end(self, call_id: str) -> None:
        call = self.calls.pop(call_id)
        self._tell("call", {**call, "state": "ended"})

    def register(self, number: str, **more: Any) -> None:
        now = datetime.now(UTC)
        binding = {
            "number": number,
            "contact": f"sip:{number}@192.0.2.1:5062",
            "transport": "UDP",
            "source": "192.0.2.1:5062",
            "user_agent": "Desk phone 1.0",
            "registered_at": iso(now),
            "expires_at": iso(now + timedelta(seconds=300)),
            **more,
        }
        self.registrations.setdefault(number, []).append(binding)
        self._tell("registration", {"number": number, "registrations": self.registrations[number]})

    def unregister(self, number: str) -> None:
        self.registrations.pop(number)
        self._tell("registration", {"number": number, "registrations": []})

    def tell_security(self, **event: Any) -> None:
        self._tell("security", event)

    def _tell(self, name: str, data: Any) -> None:
        for queue in self.streams:
            queue.put_nowait((name, data))

    def _bindings(self) -> list[dict[str, Any]]:
        return [binding for bindings in self.registrations.values() for binding in bindings]

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"status": "ok", "directory_version": 42, "journal": "ok", "undelivered_records": 0}
        )

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "sip_proxy",
                "version": "0.1.0",
                "domain": "tollbell.local",
                "listening": ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"],
                "started_at": iso(NOW - timedelta(days=3)),
            }
        )

    async def _list_calls(self, request: web.Request) -> web.Response:
        return web.json_response({"items": list(self.calls.values())})

    async def _list_registrations(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self._bindings()})

    async def _end_call(self, request: web.Request) -> web.Response:
        if self.refuse_to_end:
            return problem(500, "Broken")
        call_id = request.match_info["id"]
        if call_id not in self.calls:
            return problem(404, "Not found", "There is no such call.")
        self.end(call_id)
        return web.json_response({}, status=202)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
        queue.put_nowait(
            ("snapshot", {"calls": list(self.calls.values()), "registrations": self._bindings()})
        )
        self.streams.append(queue)
        try:
            while (item := await queue.get()) is not None:
                name, data = item
                await response.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        except ConnectionError:
            return response
        finally:
            self.streams.remove(queue)
        return response

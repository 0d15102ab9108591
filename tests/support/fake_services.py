"""Billing and the exchange as the console sees them: servers that speak `docs/api` and keep real state.

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
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
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


def page_of(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    limit = int(request.query.get("limit", "50"))
    if not 1 <= limit <= 200:
        return problem(422, "Not valid", "limit must be 1 to 200")
    cursor = request.query.get("cursor", "0")
    if not cursor.isdigit():
        return problem(422, "Not valid", "the cursor is not one of ours")
    start = int(cursor)
    more = start + limit < len(items)
    return web.json_response(
        {"items": items[start : start + limit], "next_cursor": str(start + limit) if more else None}
    )


@dataclass
class FakeBilling(FakeServer):
    """The parts of `docs/api/billing.md` that the console uses."""

    timezone: str = "Europe/Zurich"
    currency: str = "CHF"
    administrators: dict[str, str] = field(default_factory=lambda: {"admin": "correct horse"})
    customers: dict[int, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    bills: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    login_answer: int | None = None
    broken: bool = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/v1/info", self._info),
            web.post("/v1/login", self._login),
            web.get("/v1/overview", self._overview),
            web.get("/v1/customers", self._list_customers),
            web.get("/v1/customers/{id}", self._customer),
            web.get("/v1/phone-accounts", self._list_accounts),
            web.get("/v1/phone-accounts/{number}", self._account),
            web.post("/v1/phone-accounts/{number}/suspend", self._suspend),
            web.post("/v1/phone-accounts/{number}/reactivate", self._reactivate),
            web.get("/v1/phone-accounts/{number}/open-bill", self._open_bill),
            web.get("/v1/calls", self._list_calls),
            web.get("/v1/calls/{id}", self._call),
            web.get("/v1/bills", self._list_bills),
            web.get("/v1/bills/{number}", self._bill),
            web.get("/v1/rejected-call-records", self._list_rejected),
        ]

    def add_customer(self, name: str, **more: Any) -> int:
        customer_id = len(self.customers) + 1
        self.customers[customer_id] = {
            "id": customer_id,
            "name": name,
            "email": None,
            "address": None,
            "alternative_number": None,
            "created_at": iso(NOW - timedelta(days=120)),
            "account_count": 0,
            **more,
        }
        return customer_id

    def add_account(self, number: str, customer_id: int, **more: Any) -> None:
        self.customers[customer_id]["account_count"] += 1
        self.accounts[number] = {
            "number": number,
            "customer_id": customer_id,
            "customer_name": self.customers[customer_id]["name"],
            "display_name": None,
            "state": "active",
            "plan_id": 1,
            "plan_name": "Evening",
            "billing_day": 21,
            "opened_at": iso(NOW - timedelta(days=100)),
            "closed_at": None,
            "call_limit": None,
            "outgoing_filter": [],
            "incoming_filter": [],
            "block_list": [],
            "balance": "0.00",
            "unpaid_bills": 0,
            **more,
        }

    def add_call(
        self, caller: str, callee: str, *, invited_at: datetime = NOW, **more: Any
    ) -> dict[str, Any]:
        seconds = more.pop("seconds", 65)
        call = {
            "record_id": f"{len(self.calls) + 1:032x}",
            "call_id": f"call-{len(self.calls) + 1}@192.0.2.7",
            "caller": caller,
            "callee": callee,
            "emergency": False,
            "invited_at": iso(invited_at),
            "ringing_at": iso(invited_at + timedelta(seconds=1)),
            "answered_at": iso(invited_at + timedelta(seconds=4)),
            "acknowledged_at": iso(invited_at + timedelta(seconds=4)),
            "ended_at": iso(invited_at + timedelta(seconds=4 + seconds)),
            "duration_us": seconds * 1_000_000,
            "outcome": "answered",
            "status": 200,
            "reason": "OK",
            "ended_by": "caller",
            "account": caller if caller in self.accounts else None,
            "plan_name": self.accounts[caller]["plan_name"] if caller in self.accounts else None,
            "price_precise": "0.540000",
            "price": "0.54",
            "bill": None,
            "late": False,
            **more,
        }
        self.calls.append(call)
        return call

    def add_bill(
        self, number: str, account: str, start: datetime, end: datetime, **more: Any
    ) -> dict[str, Any]:
        self.bills[number] = {
            **self.bill_of(account, start, end),
            "number": number,
            "state": "closed",
            "revision": 1,
        }
        self.bills[number] |= {
            "closed_at": iso(end),
            "due_on": (end + timedelta(days=14)).date().isoformat(),
            **more,
        }
        return self.bills[number]

    def bill_of(self, account: str, start: datetime, end: datetime) -> dict[str, Any]:
        """A bill with a fee of 5.00 and the account's answered calls of the period."""
        customer = self.customers[self.accounts[account]["customer_id"]]
        calls = [
            {
                key: call[key]
                for key in (
                    "record_id",
                    "callee",
                    "answered_at",
                    "duration_us",
                    "price_precise",
                    "price",
                    "late",
                )
            }
            for call in self.calls
            if call["account"] == account
            and call["outcome"] == "answered"
            and iso(start) <= call["ended_at"] < iso(end)
        ]
        cents = sum(round(float(call["price"]) * 100) for call in calls)
        lines = [
            {"kind": "fee", "text": "Evening, monthly fee", "amount_precise": "5.000000", "amount": "5.00"},
            {
                "kind": "calls",
                "text": f"{len(calls)} calls",
                "amount_precise": f"{cents / 100:.6f}",
                "amount": f"{cents / 100:.2f}",
            },
        ]
        return {
            "number": None,
            "state": "open",
            "revision": None,
            "account": account,
            "customer": {key: customer[key] for key in ("id", "name", "address", "email")},
            "currency": self.currency,
            "timezone": self.timezone,
            "period": {"start": iso(start), "end": iso(end)},
            "closed_at": None,
            "due_on": None,
            "lines": lines,
            "calls": calls,
            "call_total": f"{cents / 100:.2f}",
            "fee_total": "5.00",
            "tax_total": "0.00",
            "total": f"{(cents + 500) / 100:.2f}",
            "paid": "0.00",
            "amount_due": f"{(cents + 500) / 100:.2f}",
        }

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "database": "ok"})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "billing_service",
                "version": "0.1.0",
                "currency": self.currency,
                "timezone": self.timezone,
                "realm": "tollbell.local",
                "started_at": iso(NOW - timedelta(days=3)),
            }
        )

    async def _login(self, request: web.Request) -> web.Response:
        if self.login_answer is not None:
            return problem(self.login_answer, "Refused")
        body = await request.json()
        if set(body) != {"login", "password"}:
            return problem(422, "Not valid")
        if self.administrators.get(body["login"]) != body["password"]:
            return problem(401, "Wrong login or password")
        return web.json_response({"login": body["login"], "name": "Ada Admin", "role": "administrator"})

    async def _overview(self, request: web.Request) -> web.Response:
        states = [account["state"] for account in self.accounts.values()]
        return web.json_response(
            {
                "customers": len(self.customers),
                "accounts": {state: states.count(state) for state in ("active", "suspended", "closed")},
                "calls_today": len(self.calls),
                "charged_today": "12.34",
                "open_total": "1234.50",
                "unpaid_bills": sum(bill["state"] == "closed" for bill in self.bills.values()),
                "rejected_records": len(self.rejected),
            }
        )

    async def _list_customers(self, request: web.Request) -> web.Response:
        wanted = request.query.get("q", "").casefold()
        found = [customer for customer in self.customers.values() if wanted in customer["name"].casefold()]
        return page_of(request, found[::-1])

    async def _customer(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(self.customers, int(request.match_info["id"])))

    async def _list_accounts(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.json_response({"items": [{"number": 7}], "next_cursor": None})
        query = request.query
        found = [
            account
            for _, account in sorted(self.accounts.items())
            if query.get("customer_id", str(account["customer_id"])) == str(account["customer_id"])
            and query.get("state", account["state"]) == account["state"]
            and query.get("q", "").casefold() in f"{account['number']} {account['customer_name']}".casefold()
        ]
        return page_of(request, found)

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(self.accounts, request.match_info["number"]))

    async def _suspend(self, request: web.Request) -> web.Response:
        return self._set_state(request.match_info["number"], "active", "suspended")

    async def _reactivate(self, request: web.Request) -> web.Response:
        return self._set_state(request.match_info["number"], "suspended", "active")

    def _set_state(self, number: str, old: str, new: str) -> web.Response:
        account = self._one(self.accounts, number)
        if account["state"] != old:
            return problem(409, "Conflict", f"{number} is {account['state']}")
        account["state"] = new
        return web.json_response(account)

    async def _open_bill(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        self._one(self.accounts, number)
        return web.json_response(self.bill_of(number, NOW - timedelta(days=20), NOW + timedelta(days=10)))

    async def _list_calls(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            call
            for call in sorted(self.calls, key=lambda call: call["invited_at"], reverse=True)
            if query.get("number", call["caller"]) in (call["caller"], call["callee"])
            and query.get("outcome", call["outcome"]) == call["outcome"]
            and _at(query.get("from", call["invited_at"]))
            <= _at(call["invited_at"])
            <= _at(query.get("to", call["invited_at"]))
        ]
        return page_of(request, found)

    async def _call(self, request: web.Request) -> web.Response:
        calls = {call["record_id"]: call for call in self.calls}
        call = self._one(calls, request.match_info["id"])
        return web.json_response({**call, "explanation": ["Evening: 0.36 for the call", "2 minutes at 0.09"]})

    async def _list_bills(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            {key: value for key, value in bill.items() if key not in ("lines", "calls")}
            for _, bill in sorted(self.bills.items(), reverse=True)
            if query.get("account", bill["account"]) == bill["account"]
            and query.get("state", bill["state"]) == bill["state"]
            and (query.get("unpaid") != "true" or bill["state"] == "closed")
        ]
        return page_of(request, found)

    async def _bill(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(self.bills, request.match_info["number"]))

    async def _list_rejected(self, request: web.Request) -> web.Response:
        return page_of(request, self.rejected)

    @staticmethod
    def _one(table: dict[Any, dict[str, Any]], key: Any) -> dict[str, Any]:
        if key not in table:
            raise web.HTTPNotFound
        return table[key]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


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

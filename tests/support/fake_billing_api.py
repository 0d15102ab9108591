"""Billing as the console sees it: a server that speaks `docs/api/billing.md` and keeps real state."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.support.fake_services import NOW, FakeServer, iso, problem

FEE = Decimal("5.00")


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
    client_addresses: list[str] = field(default_factory=list)
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
        charged = sum((Decimal(call["price"]) for call in calls), Decimal("0.00"))
        lines = [
            {"kind": "fee", "text": "Evening, monthly fee", "amount_precise": "5.000000", "amount": "5.00"},
            {
                "kind": "calls",
                "text": f"{len(calls)} calls",
                "amount_precise": f"{charged:.6f}",
                "amount": str(charged),
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
            "call_total": str(charged),
            "fee_total": "5.00",
            "tax_total": "0.00",
            "total": str(charged + FEE),
            "paid": "0.00",
            "amount_due": str(charged + FEE),
        }

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "database": "ok", "broker": None})

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
        self.client_addresses.append(request.headers.get("Tollbell-Client-Address", ""))
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

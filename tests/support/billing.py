"""A running billing service for tests: its application on a free port, with a database of its own."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import URL, insert

from billing_service.app import make_app
from billing_service.domain.money import Currency
from billing_service.domain.permissions import Role
from billing_service.http_api.services import SERVICES
from billing_service.settings import Address, LogFormat, Settings
from billing_service.storage.tables import Administrator
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.close_bills import Closing, UnableToCloseBills, close_due
from tests.support.answers_as_documented import as_documented

TOKEN = "a-token-for-tests"
REALM = "tollbell.test"
START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
FLAT_PRICE: Mapping[str, Any] = {"per_minute": "0.10"}


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def advance(self, span: timedelta) -> None:
        self.at += span


@dataclass(frozen=True)
class Answer:
    """An answer's status and JSON body."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        """The wrong fields that a problem names, with their messages."""
        return {error["field"]: error["message"] for error in self.body.get("errors", [])}


@dataclass
class Billing:
    """A billing service as its clients see it, with its clock and its database within reach."""

    client: TestClient[Any, Any]
    clock: FakeClock
    database: Database
    settings: Settings

    async def request(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send a request with the service token; JSON answers only."""
        headers = {"Authorization": f"Bearer {TOKEN}", **arguments.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, **arguments) as response:
            return await _answer(response)

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.request("GET", path, params={name: str(value) for name, value in query.items()})

    async def post(self, path: str, body: Any = None, **arguments: Any) -> Answer:
        return await self.request("POST", path, json=body, **arguments)

    async def patch(self, path: str, body: Any, **arguments: Any) -> Answer:
        return await self.request("PATCH", path, json=body, **arguments)

    async def add_customer(self, name: str = "Alice Example") -> int:
        """Create a customer and return its id."""
        answer = await self.post("/v1/customers", {"name": name})
        assert answer.status == 201, answer
        return int(answer.body["id"])

    async def add_plan(self, name: str = "Flat", **fields: Any) -> int:
        """Create a plan (10 cents a started minute, 5.00 a month) and return its id."""
        plan = {"name": name, "monthly_fee": "5.00", "base_price": FLAT_PRICE, **fields}
        answer = await self.post("/v1/plans", plan)
        assert answer.status == 201, answer
        return int(answer.body["id"])

    async def add_account(self, number: str = "0001", **fields: Any) -> dict[str, Any]:
        """Open an account with a customer and a plan of its own, unless told which."""
        wish = {
            "number": number,
            "customer_id": fields.get("customer_id") or await self.add_customer(f"Customer of {number}"),
            "plan_id": fields.get("plan_id") or await self.add_plan(f"Plan of {number}"),
            **fields,
        }
        answer = await self.post("/v1/phone-accounts", wish)
        assert answer.status == 201, answer
        account: dict[str, Any] = answer.body
        return account

    async def close_ahead(self, as_of: str) -> Answer:
        """Close bills as if it were later, and answer as the API does, which never closes ahead of time."""
        failed: list[str] = []

        def close() -> Closing:
            return close_due(
                self.database,
                as_of=datetime.fromisoformat(as_of),
                currency=self.settings.currency,
                zone=self.settings.timezone,
            )

        try:
            closing = await self.database.in_thread(close)
        except UnableToCloseBills as error:
            closing, failed = error.closing, error.accounts
        body = {"closed": len(closing.bills), "bills": list(closing.bills)}
        return Answer(200, {**body, "suspended": list(closing.suspended), "failed": failed})

    async def acting_as(self, login: str, role: Role = Role.ADMINISTRATOR) -> dict[str, str]:
        """Add an administrator, and return the headers of a program that acts for him."""
        row = {"login": login, "name": login, "role": role.value, "password_hash": "no password fits"}
        await self.database.run(lambda session: session.execute(insert(Administrator), [row]))
        return {"Tollbell-Actor": login}

    async def deliver(self, *records: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Deliver call records as the exchange does and return the result of each."""
        answer = await self.post("/internal/v1/call-records", {"records": list(records)})
        assert answer.status == 200, answer
        results: list[dict[str, Any]] = answer.body["results"]
        return results


def call_record(number: int = 1, **facts: Any) -> dict[str, Any]:
    """A call record as the exchange sends it: a minute from 0001 to 0002, unless said otherwise."""
    return {
        "record_id": f"{number:032x}",
        "call_id": f"call-{number}@127.0.0.1",
        "caller": "0001",
        "callee": "0002",
        "emergency": False,
        "invited_at": "2026-11-21T20:10:00.000000Z",
        "ringing_at": "2026-11-21T20:10:00.100000Z",
        "answered_at": "2026-11-21T20:10:04.000000Z",
        "acknowledged_at": "2026-11-21T20:10:04.050000Z",
        "ended_at": "2026-11-21T20:11:04.000000Z",
        "duration_us": 60_000_000,
        "outcome": "answered",
        "status": 200,
        "reason": "OK",
        "ended_by": "caller",
        **facts,
    }


def unanswered_record(number: int = 1, **facts: Any) -> dict[str, Any]:
    """The record of an attempt that met a busy phone."""
    return call_record(
        number,
        **{
            "answered_at": None,
            "acknowledged_at": None,
            "ended_at": "2026-11-21T20:10:01.000000Z",
            "duration_us": 0,
            "outcome": "busy",
            "status": 486,
            "reason": "Busy Here",
            "ended_by": "callee",
            **facts,
        },
    )


def make_settings(database_url: URL, var: Path, **changes: Any) -> Settings:
    """Settings for a service under test."""
    values: dict[str, Any] = {
        "var": var,
        "database_url": database_url,
        "uses_embedded_database": False,
        "http": Address("127.0.0.1", 0),
        "sip_domain": REALM,
        "service_token": TOKEN,
        "timezone": ZoneInfo("UTC"),
        "currency": Currency.of("USD"),
        "closing_time": time(),
        "log_format": LogFormat.CONSOLE,
        **changes,
    }
    return Settings(**values)


MakeBilling = Callable[..., Any]


@pytest_asyncio.fixture
async def make_billing(database_url: URL, tmp_path: Path) -> AsyncIterator[MakeBilling]:
    """Start a billing service with changed settings: `await make_billing(timezone=ZoneInfo(…))`."""
    clients: list[TestClient[Any, Any]] = []

    async def start(**changes: Any) -> Billing:
        clock = FakeClock()
        sends_events = changes.pop("sends_events", False)
        settings = make_settings(**{"database_url": database_url, "var": tmp_path, **changes})
        app = make_app(settings, token=TOKEN, now=clock, sends_events=sends_events)
        app.middlewares.insert(0, as_documented)
        client = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return Billing(client, clock, app[SERVICES].database, settings)

    yield start
    for client in clients:
        await client.close()


@pytest_asyncio.fixture
async def billing(make_billing: MakeBilling) -> Billing:
    """A running billing service with an empty, migrated database of its own."""
    started: Billing = await make_billing()
    return started


async def _answer(response: ClientResponse) -> Answer:
    body = await response.json(content_type=None)
    if response.status >= 400 and "database" not in (body or {}):
        assert response.content_type == "application/problem+json", response.content_type
        assert body["status"] == response.status
    return Answer(response.status, body, response.headers)

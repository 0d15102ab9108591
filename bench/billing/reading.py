"""How long it takes to read a bill and pages of calls while millions of calls are stored."""

import http.client
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.billing.population import add_accounts, add_calls
from bench.billing.server import TOKEN, Server, running_server, running_service


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one kind of request."""

    what: str
    median_ms: float
    p99_ms: float


def read(calls: int, accounts: int, *, requests: int = 300) -> list[Latency]:
    """Ask a running service for random bills and pages, one after the other."""
    with running_server() as server:
        version = add_accounts(server, accounts)
        add_calls(server, calls, version=version, months=10)
        server.analyse()
        # Every tenth account gets its bill, to be read; closing is measured elsewhere.
        server.sql(
            "UPDATE phone_accounts SET period_end = period_end + interval '1 month' WHERE id % 10 <> 0"
        )
        with running_service(server) as service:
            return _measure(server, service.port, accounts, requests)


def _measure(server: Server, port: int, accounts: int, requests: int) -> list[Latency]:
    chance = random.Random(3)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(path: str) -> Any:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:500])
        return json.loads(body)

    bills = [number for (number,) in server.sql("SELECT number FROM bills ORDER BY id LIMIT 5000")]
    cursors = [get("/v1/calls?limit=50")["next_cursor"]]
    for _ in range(20):
        cursors.append(get(f"/v1/calls?limit=50&cursor={cursors[-1]}")["next_cursor"])

    def number() -> str:
        return f"{chance.randrange(accounts) + 1:06d}"

    def moment() -> str:
        month, day, hour = chance.randrange(1, 11), chance.randrange(1, 29), chance.randrange(24)
        return f"2026-{month:02d}-{day:02d}T{hour:02d}:00:00Z"

    kinds: dict[str, Callable[[], str]] = {
        "a bill": lambda: f"/v1/bills/{chance.choice(bills)}",
        "a page of all calls": lambda: f"/v1/calls?limit=50&cursor={chance.choice(cursors)}",
        "a page of a number's calls, either side": lambda: f"/v1/calls?limit=50&number={number()}",
        "a page of a caller's calls": lambda: f"/v1/calls?limit=50&caller={number()}",
        "a page of calls up to a moment": lambda: f"/v1/calls?limit=50&to={moment()}",
        "the open bill of a number": lambda: f"/v1/phone-accounts/{number()}/open-bill",
    }
    return [_time(what, get, path, requests) for what, path in kinds.items()]


def _time(what: str, get: Callable[[str], Any], path: Callable[[], str], requests: int) -> Latency:
    for _ in range(10):
        get(path())
    took = []
    for _ in range(requests):
        wanted = path()
        started = time.perf_counter()
        get(wanted)
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    return Latency(what, took[len(took) // 2], took[int(len(took) * 0.99)])

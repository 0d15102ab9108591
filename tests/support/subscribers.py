"""Phone accounts for end-to-end tests, made as an administrator's program makes them: by the REST API."""

import itertools
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.softphone import Phone, phone
from tests.support.system import System, eventually

# 0.36 for every answered call, 0.10 for each started minute, 5.00 a month.
FEE = "5.00"
PRICE = {
    "standing_charge": "0.36",
    "per_minute": "0.10",
    "initial_increment_s": 60,
    "next_increment_s": 60,
    "counting": "started",
    "windows": [],
}


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A phone account and how to register its phone."""

    system: System
    number: str
    password: str
    account: dict[str, Any]

    def phone(self, transport: str = "udp", directory: Path | None = None) -> AbstractContextManager[Phone]:
        """A softphone engine with this account; call `register` on it."""
        return phone(
            self.number,
            self.password,
            server=self.system.sip_server(transport),
            transport=transport,
            directory=directory,
        )

    def calls(self) -> list[dict[str, Any]]:
        """The calls that this number made, as billing has them, newest first."""
        items: list[dict[str, Any]] = self.system.billing("GET", f"/v1/calls?caller={self.number}").body[
            "items"
        ]
        return items

    def call_records(self, count: int, timeout_s: float = 20) -> list[dict[str, Any]]:
        """Wait for this many calls, and see that no more come."""
        eventually(lambda: len(self.calls()) >= count, f"{count} calls of {self.number}", timeout_s)
        time.sleep(0.5)  # long enough for a second delivery of the same record to show
        calls = self.calls()
        assert len(calls) == count, calls
        return calls

    def open_bill(self) -> dict[str, Any]:
        """The bill as it would be closed now."""
        bill: dict[str, Any] = self.system.billing("GET", f"/v1/phone-accounts/{self.number}/open-bill").body
        return bill

    def closed_bills(self) -> list[dict[str, Any]]:
        """The closed bills of the account, newest first, without their lines."""
        items: list[dict[str, Any]] = self.system.billing("GET", f"/v1/bills?account={self.number}").body[
            "items"
        ]
        return items


class Subscribers:
    """Makes phone accounts of one customer on one plan."""

    _serial = itertools.count(1)

    def __init__(self, system: System) -> None:
        self.system = system
        name = f"Test {os.getpid()}-{next(self._serial)}"
        self.customer = self._create("/v1/customers", {"name": name})
        self.plan = self._create(
            "/v1/plans", {"name": name, "monthly_fee": FEE, "base_price": PRICE, "tariffs": []}
        )

    def make(self, **fields: Any) -> Subscriber:
        """Make an account with a free number, and wait until the exchange knows it."""
        account = self._create(
            "/v1/phone-accounts",
            {
                "customer_id": self.customer["id"],
                "plan_id": self.plan["id"],
                "number": "######",
                "display_name": "Test phone",
                **fields,
            },
        )
        self.wait_for_exchange()
        return Subscriber(self.system, account["number"], account["sip_password"], account)

    def wait_for_exchange(self) -> None:
        """Wait until the exchange has every change that billing has committed so far."""
        version = self.system.billing("GET", "/internal/v1/directory?since=0&wait=0").body["version"]
        eventually(
            lambda: self.system.control("GET", "/health").body["directory_version"] >= version,
            f"the exchange has version {version} of the directory",
        )

    def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.system.billing("POST", path, body)
        assert answer.status == 201, answer
        created: dict[str, Any] = answer.body
        return created

"""What billing has of a set of phone accounts, read through its REST API."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from tests.support.system import System


def calls_of(system: System, numbers: Iterable[str]) -> list[dict[str, Any]]:
    """Every call that these numbers made."""
    calls: list[dict[str, Any]] = []
    for number in numbers:
        cursor = ""
        while cursor is not None:
            more = f"&cursor={quote(cursor)}" if cursor else ""
            page = system.billing("GET", f"/v1/calls?caller={number}&limit=200{more}").body
            calls += page["items"]
            cursor = page["next_cursor"]
    return calls


def open_call_total(system: System, number: str) -> Decimal:
    """The price of the calls on the open bill of a number."""
    return Decimal(system.billing("GET", f"/v1/phone-accounts/{number}/open-bill").body["call_total"])

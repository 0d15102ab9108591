"""A bill as PDF, set by typst.

The texts go to typst as JSON, which it reads as data: nothing of what a customer is called can be markup. Its
own fonts have Latin, Greek, Cyrillic and Hebrew; other scripts need a font of the system's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from billing_service.bill_rendering.isolated import run_isolated
from billing_service.bill_rendering.printed_bill import print_bill
from billing_service.use_cases.readable_bill import ReadableBill

TYPESETTER = Path(__file__).with_name("typesetter.py")
# Tags let a screen reader tell cells from headings, and make a long list of calls fifteen times larger.
_MOST_TAGGED_CALLS = 500
_MOST_CALLS_A_PROCESS = 5_000
_AT_ONCE = BoundedSemaphore(2)


def bills_as_pdf(bills: Sequence[ReadableBill], *, tagged: bool = True) -> bytes:
    """One document of bills, each beginning on a page of its own, with its own page numbers.

    Blocks for as long as a process needs that sets it. The same bills give the same bytes. Documents with few
    calls are `tagged` for screen readers.

    Raises:
        UnableToSetBills: see `run_isolated`.
    """
    return _set([bills], tagged=tagged)[0]


def each_as_pdf(bills: Iterable[ReadableBill]) -> list[bytes]:
    """A document for each bill, set by as few processes as memory allows; otherwise as `bills_as_pdf`."""
    files: list[bytes] = []
    together: list[list[ReadableBill]] = []
    calls = 0
    for bill in bills:
        if together and calls + len(bill.calls) > _MOST_CALLS_A_PROCESS:
            files += _set(together)
            together, calls = [], 0
        together.append([bill])
        calls += len(bill.calls)
    return files + _set(together) if together else files


def _set(documents: Sequence[Sequence[ReadableBill]], *, tagged: bool = True) -> list[bytes]:
    wish = json.dumps([_document(bills, tagged=tagged) for bills in documents]).encode()
    with _AT_ONCE:
        return list(_split(run_isolated(TYPESETTER, wish, doing=f"setting {len(documents)} documents")))


def _document(bills: Sequence[ReadableBill], *, tagged: bool) -> dict[str, Any]:
    # The time in the file is that of the bill, so that the same bill is the same file.
    made_at = max((bill.closed_at or bill.period_start for bill in bills), default=None)
    return {
        "bills": [asdict(print_bill(bill)) for bill in bills],
        "made_at": 0 if made_at is None else int(made_at.timestamp()),
        "tags": tagged and sum(len(bill.calls) for bill in bills) <= _MOST_TAGGED_CALLS,
    }


def _split(output: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(output):
        length = int.from_bytes(output[at : at + 8], "big")
        yield output[at + 8 : at + 8 + length]
        at += 8 + length

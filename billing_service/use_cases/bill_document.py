"""Bills as documents, in the shape of `docs/api/billing.md`: frozen at closing, shown ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from billing_service.domain.bill import BillContents
from billing_service.domain.money import Currency, Money

BillDocument = dict[str, Any]
ONLY_IN_FULL: Final = ("lines", "calls")
"""What lists of bills leave out."""


@dataclass(frozen=True, slots=True)
class BillHeading:
    """Who is billed, and when. `number` and `closed_at` are None on the open bill."""

    number: str | None
    revision: int
    account: str
    customer_id: int
    customer_name: str
    customer_address: str | None
    customer_email: str | None
    timezone: str
    closed_at: datetime | None
    due_on: date | None


def freeze(heading: BillHeading, contents: BillContents, currency: Currency) -> BillDocument:
    """The part of a bill that never changes: all but its state and what has been paid."""
    return {
        "number": heading.number,
        "revision": heading.revision,
        "account": heading.account,
        "customer": {
            "id": heading.customer_id,
            "name": heading.customer_name,
            "address": heading.customer_address,
            "email": heading.customer_email,
        },
        "currency": currency.code,
        "timezone": heading.timezone,
        "period": {"start": _instant(contents.period.start), "end": _instant(contents.period.end)},
        "closed_at": None if heading.closed_at is None else _instant(heading.closed_at),
        "due_on": None if heading.due_on is None else heading.due_on.isoformat(),
        "lines": [
            {
                "kind": line.kind.value,
                "text": line.text,
                "amount_precise": line.precise.format_precise(),
                "amount": line.amount.format(currency),
            }
            for line in contents.lines
        ],
        "calls": [
            {
                "record_id": call.record_id,
                "callee": call.callee,
                "answered_at": _instant(call.answered_at),
                "duration_us": call.duration_us,
                "price_precise": call.precise.format_precise(),
                "price": call.rounded.format(currency),
                "late": call.late,
                "included_s": call.included_s,
                "included": call.included.format(currency),
            }
            for call in contents.calls
        ],
        "call_total": contents.call_total.format(currency),
        "fee_total": contents.fee_total.format(currency),
        "tax_total": contents.tax_total.format(currency),
        "total": contents.total.format(currency),
    }


def present(
    frozen: Mapping[str, Any], *, state: str, total: Money, paid: Money, currency: Currency
) -> BillDocument:
    """A bill as it is now: the frozen document with its state and what has been paid."""
    due = Money(0) if state == "void" else total - paid
    return {
        "number": frozen["number"],
        "state": state,
        **frozen,
        "paid": paid.format(currency),
        "amount_due": due.format(currency),
    }


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

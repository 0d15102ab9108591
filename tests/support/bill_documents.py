"""Bills to be rendered, without a database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms, Price, Window
from billing_service.use_cases.readable_bill import ReadableBill, read_document

FIRST_CALL_AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
DAY_US = 86_400 * 1_000_000


def plan(**price: Any) -> CompiledPlan:
    """Ten cents a started minute, five in the morning, and five for being answered, unless told otherwise."""
    morning = (Window(None, 8 * 60, 12 * 60, Money.parse("0.05")),)
    terms: dict[str, Any] = {
        "per_minute": Money.parse("0.10"),
        "standing_charge": Money.parse("0.05"),
        "windows": morning,
        **price,
    }
    return CompiledPlan(PlanTerms("Evening", Money.parse("20"), Price(**terms)))


def call(number: int, *, price: str = "0.20", late: bool = False, minutes: int = 2) -> dict[str, Any]:
    """A call as documents hold it, an hour after the one before it."""
    return {
        "record_id": str(number),
        "callee": f"004144{number:07}",
        "answered_at": (FIRST_CALL_AT + timedelta(hours=number)).isoformat(),
        "duration_us": minutes * 60_000_000,
        "price_precise": f"{price}0000",
        "price": price,
        "late": late,
        "plan_version_id": 1,
    }


def bill_document(calls: Sequence[Mapping[str, Any]] = (), **changes: Any) -> dict[str, Any]:
    """A bill of November as the API shows it, with a prorated fee and a tax."""
    return {
        "number": "2026-000042",
        "state": "closed",
        "revision": 1,
        "account": "0001",
        "customer": {
            "id": 1,
            "name": "Alice Example",
            "address": "12 Station Road\nOxford",
            "email": "alice@example.org",
        },
        "company": {
            "name": "Lakeside Telephone",
            "address": "1 Harbour Street\n8001 Zürich",
            "tax_number": "CHE-123",
            "payment_instructions": "Please pay to CH93 0076 2011 6238 5295 7",
        },
        "locale": "en_GB",
        "currency": "USD",
        "timezone": "Europe/Zurich",
        "period": {"start": "2026-10-31T23:00:00.000000Z", "end": "2026-11-30T23:00:00.000000Z"},
        "closed_at": "2026-11-30T23:00:00.000000Z",
        "due_on": "2026-12-15",
        "lines": [
            {
                "kind": "fee",
                "text": "Evening, 2–30 November 2026",
                "amount": "19.33",
                "tax_percents": ["8.1"],
                "fee": {
                    "plan": "Evening",
                    "parts": [{"start": "2026-11-01T23:00:00.000000Z", "end": "2026-11-30T23:00:00.000000Z"}],
                    "monthly_fee": "20.00",
                    "charged_us": 29 * DAY_US,
                    "whole_us": 30 * DAY_US,
                },
            },
            {"kind": "calls", "text": "2 calls", "amount": "0.40", "tax_percents": ["8.1"]},
            {
                "kind": "tax",
                "text": "VAT 8.1 %",
                "amount": "1.60",
                "tax": {"name": "VAT", "percent": "8.1", "base": "19.73"},
            },
        ],
        "calls": list(calls),
        "total": "21.33",
        "amount_due": "21.33",
        **changes,
    }


def readable(
    calls: Sequence[Mapping[str, Any]] = (), *, of: CompiledPlan | None = None, **changes: Any
) -> ReadableBill:
    """The bill of such a document."""
    compiled = of or plan()
    live = {
        name: changes.pop(name) for name in ("received", "is_overdue", "other_overdue") if name in changes
    }
    return read_document(bill_document(calls, **changes), plan_versions=lambda _: compiled, **live)

"""Bills as documents, in the shape of `docs/api/billing.md`: frozen at closing, shown ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from billing_service.domain.bill import BillContents, BilledCall, BillLine
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.domain.period import Period

BillDocument = dict[str, Any]
CALLS: Final = "calls"
INCLUSIONS: Final = "inclusions"
"""Of a frozen document: what included minutes did for calls, by record; shown with each call."""
ONLY_IN_FULL: Final = ("lines", CALLS, INCLUSIONS)
"""What lists of bills leave out."""


@dataclass(frozen=True, slots=True)
class Company:
    """Who sends the bill, as on the head of its paper; empty texts are left out."""

    name: str = ""
    address: str = ""
    tax_number: str = ""
    payment_instructions: str = ""

    def to_document(self) -> dict[str, str]:
        """As bills have it."""
        return {
            "name": self.name,
            "address": self.address,
            "tax_number": self.tax_number,
            "payment_instructions": self.payment_instructions,
        }


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
    company: Company = Company()
    locale: str = "en"


def freeze(heading: BillHeading, contents: BillContents, currency: Currency) -> BillDocument:
    """The part of a bill that never changes: all but its state and what has been paid.

    It doesn't list the calls, whose facts and prices never change either: they are found by the bill's period
    (`storage/billed_calls.py`). Only what the closing itself decided of a call is kept: its included minutes.
    """
    document = {
        "number": heading.number,
        "revision": heading.revision,
        "account": heading.account,
        "customer": {
            "id": heading.customer_id,
            "name": heading.customer_name,
            "address": heading.customer_address,
            "email": heading.customer_email,
        },
        "company": heading.company.to_document(),
        "locale": heading.locale,
        "currency": currency.code,
        "timezone": heading.timezone,
        "period": freeze_span(contents.period),
        "whole_period": freeze_span(contents.whole),
        "closed_at": None if heading.closed_at is None else show_instant(heading.closed_at),
        "due_on": None if heading.due_on is None else heading.due_on.isoformat(),
        "lines": [freeze_line(line, currency) for line in contents.lines],
        "call_total": contents.call_total.format(currency),
        "fee_total": contents.fee_total.format(currency),
        "tax_total": contents.tax_total.format(currency),
        "total": contents.total.format(currency),
    }
    return {**document, **freeze_inclusions(contents, currency)}


def freeze_inclusions(contents: BillContents, currency: Currency) -> BillDocument:
    """What included minutes did for calls, as documents have it; nothing when they did nothing."""
    inclusions = {
        call.record_id: {"included_s": call.included_s, "included": call.included.format(currency)}
        for call in contents.calls
        if call.included_s
    }
    return {INCLUSIONS: inclusions} if inclusions else {}


def list_calls(contents: BillContents, currency: Currency) -> list[BillDocument]:
    """The calls of a bill that is not closed yet, as `storage.billed_calls` lists those of one that is."""
    return [_call(call, currency) for call in contents.calls]


def without_calls(frozen: Mapping[str, Any]) -> BillDocument:
    """A frozen document as `freeze` makes it now; earlier ones list their calls themselves."""
    document = {name: value for name, value in frozen.items() if name != CALLS}
    inclusions = {
        call["record_id"]: {"included_s": call["included_s"], "included": call["included"]}
        for call in frozen.get(CALLS, ())
        if call.get("included_s")
    }
    return {**document, INCLUSIONS: inclusions} if inclusions else document


def freeze_line(line: BillLine, currency: Currency) -> BillDocument:
    """A line as documents have it."""
    return {
        "kind": line.kind.value,
        "text": line.text,
        "amount_precise": line.precise.format_precise(),
        "amount": line.amount.format(currency),
        "tax_percents": list(line.tax_percents),
        "fee": None
        if line.fee is None
        else {
            "plan": line.fee.plan_name,
            "parts": [freeze_span(part) for part in line.fee.parts],
            "monthly_fee": line.fee.proration.monthly_fee.format_precise(),
            "charged_us": line.fee.proration.charged_us,
            "whole_us": line.fee.proration.whole_us,
        },
        "tax": None
        if line.tax is None
        else {
            "name": line.tax.name,
            "percent": line.tax.percent,
            "base": line.tax.base.format(currency),
        },
    }


def _call(call: BilledCall, currency: Currency) -> BillDocument:
    return {
        "record_id": call.record_id,
        "callee": call.callee,
        "answered_at": show_instant(call.answered_at),
        "duration_us": call.duration_us,
        "price_precise": call.precise.format_precise(),
        "price": call.rounded.format(currency),
        "late": call.late,
        "included_s": call.included_s,
        "included": call.included.format(currency),
        "plan_version_id": call.plan_version_id,
    }


def freeze_span(period: Period) -> BillDocument:
    """A period as documents have it."""
    return {"start": show_instant(period.start), "end": show_instant(period.end)}


@dataclass(frozen=True, slots=True)
class BillStanding:
    """What is not frozen of a bill: where it stands now."""

    state: str
    total: Money
    paid: Money = ZERO
    voided_at: datetime | None = None
    void_reason: str = ""
    replaces: str | None = None
    replaced_by: str | None = None
    revision_reason: str = ""


def present(frozen: Mapping[str, Any], standing: BillStanding, currency: Currency) -> BillDocument:
    """A bill as it is now: the frozen document with its state and what has been paid."""
    owed = standing.state in ("open", "closed", "paid")
    due = standing.total - standing.paid if owed else ZERO
    void = None
    if standing.voided_at is not None:
        void = {"at": show_instant(standing.voided_at), "reason": standing.void_reason}
    shown = {name: value for name, value in frozen.items() if name != INCLUSIONS}
    return {
        "number": frozen["number"],
        "state": standing.state,
        **shown,
        "paid": standing.paid.format(currency),
        "amount_due": due.format(currency),
        "void": void,
        "replaces": standing.replaces,
        "replaced_by": standing.replaced_by,
        "revision_reason": standing.revision_reason,
    }


def show_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    # A quarter of the time of strftime, and bills have many calls.
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

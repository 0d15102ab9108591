"""Freeze many bills at once, as JSON text: what they have in common is written once.

The text says just what `bill_document.freeze` says, which a property test compares. That builds each document
anew, which takes five times as long: most of the time that Python spends on closing a period.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final

from billing_service.domain.bill import BillContents, BillLine, LineKind
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import Period
from billing_service.storage.closing_rows import BilledCustomer
from billing_service.use_cases.bill_document import (
    freeze_inclusions,
    freeze_line,
    freeze_span,
    show_instant,
)
from billing_service.use_cases.bill_heading import Letterhead

# ASCII, so that any text that JSON can carry can be stored; never NaN, which is no JSON.
_encode: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


@dataclass(slots=True)
class BillTexts:
    """The documents of first revisions that are closed at the same instant and due on the same day.

    A document is the text before its number, the number, and the text after it: so the numbers may be given
    when all else is written.
    """

    letterhead: Letterhead
    currency: Currency
    zone: tzinfo
    closed_at: datetime
    due_on: date
    _common: str = ""
    _periods: dict[int, tuple[Period, Period, str]] = field(default_factory=dict)
    _lines: dict[int, tuple[BillLine, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._common = _members(
            {
                "revision": 1,
                "company": self.letterhead.company.to_document(),
                "currency": self.currency.code,
                "timezone": str(self.zone),
                "closed_at": show_instant(self.closed_at),
                "due_on": self.due_on.isoformat(),
            }
        )

    def after_number(self, account: str, customer: BilledCustomer, contents: BillContents) -> str:
        """What follows on the number in the document of a bill; `{"number":"…"` and this are the whole."""
        currency = self.currency
        fees = calls = total = 0
        for line in contents.lines:
            total += line.amount.micros
            if line.kind is LineKind.FEE:
                fees += line.amount.micros
            elif line.kind is not LineKind.TAX:
                calls += line.amount.micros
        inclusions = freeze_inclusions(contents, currency) if contents.calls else {}
        return (
            f',"account":{quoted(account)},"customer":{{"id":{customer.id},"name":{quoted(customer.name)}'
            f',"address":{_text(customer.address)},"email":{_text(customer.email)}}}'
            f',"locale":{quoted(customer.locale or self.letterhead.locale)},{self._common}'
            f',{self._spans(contents)},"lines":[{",".join(map(self._line, contents.lines))}]'
            f',"call_total":"{Money(calls).format(currency)}","fee_total":"{Money(fees).format(currency)}"'
            f',"tax_total":"{Money(total - fees - calls).format(currency)}"'
            f',"total":"{Money(total).format(currency)}"'
            f"{',' + _members(inclusions) if inclusions else ''}}}"
        )

    def _spans(self, contents: BillContents) -> str:
        known = self._periods.get(id(contents.period))
        if known is None or known[1] is not contents.whole:
            spans = {"period": freeze_span(contents.period), "whole_period": freeze_span(contents.whole)}
            # The periods are kept, so that none other gets their identities.
            known = self._periods[id(contents.period)] = (contents.period, contents.whole, _members(spans))
        return known[2]

    def _line(self, line: BillLine) -> str:
        if line.fee is None and line.tax is None:
            percents = ",".join(map(quoted, line.tax_percents))
            return (
                f'{{"kind":"{line.kind.value}","text":{quoted(line.text)}'
                f',"amount_precise":"{line.precise.format_precise()}"'
                f',"amount":"{line.amount.format(self.currency)}","tax_percents":[{percents}]'
                ',"fee":null,"tax":null}'
            )
        known = self._lines.get(id(line))
        if known is None:
            # Fees are the same object on many bills, and kept for the same reason.
            known = self._lines[id(line)] = (line, _encode(freeze_line(line, self.currency)))
        return known[1]


def _members(document: dict[str, Any]) -> str:
    """The members of a JSON object without its braces."""
    return _encode(document)[1:-1]


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def whole_documents(numbers: Iterable[str], rests: Iterable[str]) -> list[str]:
    """The documents: each number (of digits and a hyphen) with what follows on it."""
    return [f'{{"number":"{number}"{rest}' for number, rest in zip(numbers, rests, strict=True)]

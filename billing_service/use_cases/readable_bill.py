"""A bill as people read it: the frozen document with each call's rate, what was paid, and what is overdue.

It is made of the frozen document; the rates of its calls are those of the plan versions that the document
names, which never change. So an old bill reads today as it did then, but for what has been paid since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from billing_service.domain.bill import LineKind
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import ZERO, Currency, Money, total
from billing_service.domain.plan import Window
from billing_service.domain.rating import SECONDS_A_MINUTE
from billing_service.use_cases.bill_document import Company

PlanVersions = Callable[[int], CompiledPlan]
"""Finds a plan version by its identifier."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who gets the bill."""

    name: str
    address: str
    email: str


@dataclass(frozen=True, slots=True)
class FeeBasis:
    """Of a fee: the plan, the spans in which it was charged, and what share of the whole period that is."""

    plan: str
    parts: tuple[tuple[datetime, datetime], ...]
    monthly_fee: Money
    charged_us: int
    whole_us: int


@dataclass(frozen=True, slots=True)
class TaxBasis:
    """Of a tax: its name, its percentage, and the amount that it is on."""

    name: str
    percent: str
    base: Money


@dataclass(frozen=True, slots=True)
class ReadableLine:
    """One amount on the bill."""

    kind: LineKind
    text: str
    amount: Money
    tax_percents: tuple[str, ...]
    fee: FeeBasis | None
    tax: TaxBasis | None


@dataclass(frozen=True, slots=True)
class RatedPart:
    """A part of a call under one price per minute; no window: the normal price."""

    per_minute: Money
    window: Window | None
    charged_s: int


@dataclass(frozen=True, slots=True)
class ReadableCall:
    """A call with its rates. There are none when the plan version is not known."""

    callee: str
    answered_at: datetime
    duration_us: int
    price: Money
    late: bool
    included: Money
    """What included minutes took off the price, on a line of its own."""
    standing_charge: Money
    parts: tuple[RatedPart, ...]


@dataclass(frozen=True, slots=True)
class RateGroup:
    """What was called at one price per minute in one window, and its precise amount."""

    per_minute: Money
    window: Window | None
    calls: int
    charged_s: int
    precise: Money


@dataclass(frozen=True, slots=True)
class Received:
    """Money that went towards the bill; negative when it was released again."""

    kind: str
    on: datetime
    amount: Money


@dataclass(frozen=True, slots=True)
class OverdueBill:
    """Another bill of the account that should have been paid."""

    number: str
    due_on: date
    due: Money


@dataclass(frozen=True, slots=True)
class ReadableBill:
    """All that is printed on a bill. `number`, `closed_at` and `due_on` are None on the open bill."""

    number: str | None
    state: str
    revision: int
    account: str
    company: Company
    customer: Addressee
    currency: Currency
    zone: tzinfo
    locale: str
    period_start: datetime
    period_end: datetime
    closed_at: datetime | None
    due_on: date | None
    lines: tuple[ReadableLine, ...]
    calls: tuple[ReadableCall, ...]
    total: Money
    received: tuple[Received, ...]
    amount_due: Money
    is_overdue: bool
    other_overdue: tuple[OverdueBill, ...]

    @property
    def rate_groups(self) -> tuple[RateGroup, ...]:
        """The calls by price per minute and window, the dearest first."""
        groups: dict[tuple[Money, Window | None], list[int]] = {}
        for call in self.calls:
            # A call that comes back to a price is one call at that price.
            seconds: dict[tuple[Money, Window | None], int] = {}
            for part in call.parts:
                key = (part.per_minute, part.window)
                seconds[key] = seconds.get(key, 0) + part.charged_s
            for key, charged_s in seconds.items():
                groups.setdefault(key, []).append(charged_s)
        return tuple(
            RateGroup(per_minute, window, len(charged), sum(charged), _price(per_minute, sum(charged)))
            for (per_minute, window), charged in sorted(groups.items(), key=_dearest_first)
        )

    @property
    def standing_charges(self) -> Money:
        """The standing charges of all calls."""
        return total(call.standing_charge for call in self.calls)

    @property
    def call_total(self) -> Money:
        """The rounded prices of all calls, which differ from the sum of the groups by rounding only."""
        return total(call.price for call in self.calls)


def _price(per_minute: Money, charged_s: int) -> Money:
    return Money(per_minute.micros * charged_s // SECONDS_A_MINUTE)


def _dearest_first(item: tuple[tuple[Money, Window | None], object]) -> tuple[int, int, str]:
    (per_minute, window), _ = item
    return (-per_minute.micros, 0 if window is None else 1, repr(window))


def read_document(
    document: Mapping[str, Any],
    *,
    plan_versions: PlanVersions,
    received: Iterable[Received] = (),
    is_overdue: bool = False,
    other_overdue: Sequence[OverdueBill] = (),
) -> ReadableBill:
    """Make a bill readable from its document as the API shows it (`docs/api/billing.md`)."""
    zone = ZoneInfo(document["timezone"])
    company, customer = document.get("company") or {}, document["customer"]
    return ReadableBill(
        number=document["number"],
        state=document["state"],
        revision=document["revision"],
        account=document["account"],
        company=Company(**company),
        customer=Addressee(customer["name"], customer["address"] or "", customer["email"] or ""),
        currency=Currency.of(document["currency"]),
        zone=zone,
        locale=document.get("locale") or "en",
        period_start=_instant(document["period"]["start"]),
        period_end=_instant(document["period"]["end"]),
        closed_at=None if document["closed_at"] is None else _instant(document["closed_at"]),
        due_on=None if document["due_on"] is None else date.fromisoformat(document["due_on"]),
        lines=tuple(_line(line) for line in document["lines"]),
        calls=_calls(document, plan_versions, zone),
        total=Money.parse(document["total"]),
        received=tuple(received),
        amount_due=Money.parse(document["amount_due"]),
        is_overdue=is_overdue,
        other_overdue=tuple(other_overdue),
    )


def _line(line: Mapping[str, Any]) -> ReadableLine:
    fee, tax = line.get("fee"), line.get("tax")
    return ReadableLine(
        kind=LineKind(line["kind"]),
        text=line["text"],
        amount=Money.parse(line["amount"]),
        tax_percents=tuple(line.get("tax_percents", ())),
        fee=None
        if fee is None
        else FeeBasis(
            fee["plan"],
            tuple((_instant(part["start"]), _instant(part["end"])) for part in fee["parts"]),
            Money.parse(fee["monthly_fee"]),
            fee["charged_us"],
            fee["whole_us"],
        ),
        tax=None if tax is None else TaxBasis(tax["name"], tax["percent"], Money.parse(tax["base"])),
    )


def _calls(
    document: Mapping[str, Any], plan_versions: PlanVersions, zone: tzinfo
) -> tuple[ReadableCall, ...]:
    caller = document["account"]
    found: dict[int, CompiledPlan] = {}
    calls = []
    for call in document["calls"]:
        version_id = call.get("plan_version_id")
        if version_id is not None and version_id not in found:
            found[version_id] = plan_versions(version_id)
        calls.append(_call(call, caller, None if version_id is None else found[version_id], zone))
    return tuple(calls)


def _call(call: Mapping[str, Any], caller: str, plan: CompiledPlan | None, zone: tzinfo) -> ReadableCall:
    answered_at = _instant(call["answered_at"])
    standing_charge = ZERO
    parts: tuple[RatedPart, ...] = ()
    if plan is not None:
        price = plan.price_at(source=caller, destination=call["callee"], answered_at=answered_at)
        charge = plan.itemise(price, answered_at=answered_at, duration_us=call["duration_us"], zone=zone)
        standing_charge = charge.standing_charge
        parts = tuple(RatedPart(piece.per_minute, piece.window, piece.charged_s) for piece in charge.pieces)
    return ReadableCall(
        callee=call["callee"],
        answered_at=answered_at,
        duration_us=call["duration_us"],
        price=Money.parse(call["price"]),
        late=call["late"],
        included=Money.parse(call.get("included", "0")),
        standing_charge=standing_charge,
        parts=parts,
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)

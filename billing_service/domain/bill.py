"""Building a bill: monthly fees, the period's calls and late ones, included minutes, and taxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from enum import Enum
from typing import Final

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.included_minutes import (
    CoveredCall,
    Inclusion,
    Pot,
    describe_seconds,
    pots_of,
    use_included,
)
from billing_service.domain.money import ZERO, Currency, Money, total
from billing_service.domain.period import Period
from billing_service.domain.proration import FeeShare, PlanInForce, prorate
from billing_service.domain.tax import Taxable, TaxRate, taxes_in_force


class LineKind(Enum):
    """What a line of a bill is for."""

    FEE = "fee"
    CALLS = "calls"
    LATE_CALLS = "late_calls"
    ALLOWANCE = "allowance"
    """What included minutes take off the calls: negative."""
    TAX = "tax"
    CREDIT = "credit"


_TAXED_AS: Final = {
    LineKind.FEE: Taxable.FEE,
    LineKind.CALLS: Taxable.CALLS,
    LineKind.LATE_CALLS: Taxable.CALLS,
    LineKind.ALLOWANCE: Taxable.CALLS,
}


@dataclass(frozen=True, slots=True)
class BilledCall:
    """A rated call on a bill. `late`: it ended in an earlier period, but arrived after that was closed."""

    record_id: str
    callee: str
    answered_at: datetime
    ended_at: datetime
    duration_us: int
    precise: Money
    rounded: Money
    late: bool
    plan_version_id: int | None = None
    included_s: int = 0
    """Seconds of included minutes that it used."""
    included: Money = ZERO
    """What these took off its price, on the line of the plan's included minutes."""


@dataclass(frozen=True, slots=True)
class AppliedTax:
    """A tax rate and the amount that it was applied to."""

    name: str
    percent: str
    base: Money


@dataclass(frozen=True, slots=True)
class BillLine:
    """One amount on a bill, precise and as it is charged."""

    kind: LineKind
    text: str
    precise: Money
    amount: Money
    fee: FeeShare | None = None
    """Of a fee: how it came to be."""
    tax_percents: tuple[str, ...] = ()
    """The taxes on this line; their amounts are lines of their own."""
    tax: AppliedTax | None = None
    """Of a tax: what it is on."""


@dataclass(frozen=True, slots=True)
class UnbilledCall:
    """A rated call that is on no bill yet."""

    record_id: str
    callee: str
    answered_at: datetime
    ended_at: datetime
    duration_us: int
    precise: Money
    rounded: Money
    plan_version_id: int | None = None
    caller: str = ""


@dataclass(frozen=True, slots=True)
class CallSum:
    """Calls together: how many, and the sums of their precise and of their rounded prices."""

    calls: int
    precise: Money
    rounded: Money


NO_CALLS: Final = CallSum(0, ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class BillContents:
    """What is on a bill. Its total is the sum of its rounded lines; `whole` is what the fee is a share of.

    `calls` is empty when the bill was made of their sums alone.
    """

    period: Period
    whole: Period
    lines: tuple[BillLine, ...]
    calls: tuple[BilledCall, ...]

    @property
    def fee_total(self) -> Money:
        return self._total_of(LineKind.FEE)

    @property
    def call_total(self) -> Money:
        """What the calls cost after included minutes."""
        return self._total_of(LineKind.CALLS, LineKind.LATE_CALLS, LineKind.ALLOWANCE)

    @property
    def tax_total(self) -> Money:
        return self._total_of(LineKind.TAX)

    @property
    def total(self) -> Money:
        return total(line.amount for line in self.lines)

    def _total_of(self, *kinds: LineKind) -> Money:
        return total(line.amount for line in self.lines if line.kind in kinds)


def build_bill(
    *,
    period: Period,
    whole: Period,
    charged: Sequence[Period],
    plans: Iterable[PlanInForce],
    calls: Iterable[UnbilledCall],
    currency: Currency,
    zone: tzinfo,
    taxes: Iterable[TaxRate] = (),
    entitled: Sequence[Period] | None = None,
    compiled: Callable[[int], CompiledPlan] | None = None,
) -> BillContents:
    """The bill of an account for a period.

    `whole` is the calendar period that the monthly fee is for (longer than `period` when the account was
    opened in it), `charged` the parts of `period` in which the account was open and not suspended. `calls`
    are all calls of the account that are on no bill; those that end in the period or before it go on this
    one. `taxes` are all tax rates there are, none for an exempt customer; those in force on the period's last
    day are added.

    Included minutes count in the parts `entitled`, which are `charged` unless told: a bill that is made
    before its period is over charges the fee so far, but includes the minutes of the whole period. `compiled`
    gives a plan version by its identifier, and is asked only for versions with included minutes.
    """
    plans = list(plans)
    unbilled = [call for call in calls if call.ended_at < period.end]
    billed = [
        BilledCall(
            call.record_id,
            call.callee,
            call.answered_at,
            call.ended_at,
            call.duration_us,
            call.precise,
            call.rounded,
            late=call.ended_at < period.start,
            plan_version_id=call.plan_version_id,
        )
        for call in unbilled
    ]
    billed.sort(key=lambda call: (call.ended_at, call.record_id))
    pots = pots_of(plans, whole=whole, entitled=charged if entitled is None else entitled, zone=zone)
    inclusions: dict[str, Inclusion] = {}
    if pots:
        assert compiled is not None, "included minutes can't be used without the plans"
        inclusions, pots = use_included(
            _covered(unbilled, period),
            pots,
            plan_ids={plan.plan_version_id: plan.plan_id for plan in plans if plan.allowance.minutes},
            compiled=compiled,
            currency=currency,
            zone=zone,
        )
        billed = [_with_inclusion(call, inclusions.get(call.record_id)) for call in billed]
    lines = [
        *fee_lines(plans, whole=whole, charged=charged, currency=currency, zone=zone),
        *_call_lines(_sum_of(billed, late=False), _sum_of(billed, late=True)),
        *_allowance_lines(inclusions.values(), pots),
    ]
    in_force = taxes_in_force(taxes, last_day(period, zone))
    lines = list(mark_taxed(lines, in_force))
    return BillContents(period, whole, (*lines, *_tax_lines(lines, in_force, currency)), tuple(billed))


def fee_lines(
    plans: Iterable[PlanInForce],
    *,
    whole: Period,
    charged: Sequence[Period],
    currency: Currency,
    zone: tzinfo,
) -> tuple[BillLine, ...]:
    """The lines of the monthly fees; see `build_bill`."""
    return tuple(
        _fee_line(share, currency, zone) for share in prorate(plans, whole=whole, charged=charged, zone=zone)
    )


def build_bill_of_sums(
    *,
    period: Period,
    whole: Period,
    fees: Sequence[BillLine],
    in_time: CallSum,
    late: CallSum,
    taxes: Sequence[TaxRate],
    currency: Currency,
) -> BillContents:
    """The same bill as `build_bill` makes of the calls themselves, for plans without included minutes.

    `fees` are the `fee_lines` with their taxes (`mark_taxed`), `in_time` and `late` the sums of the calls
    that ended in the period and before it, `taxes` those in force on the period's last day.
    """
    lines = [*fees, *mark_taxed(_call_lines(in_time, late), taxes)]
    return BillContents(period, whole, (*lines, *_tax_lines(lines, taxes, currency)), ())


def _fee_line(share: FeeShare, currency: Currency, zone: tzinfo) -> BillLine:
    text = f"{share.plan_name}, {', '.join(describe_days(part, zone) for part in share.parts)}"
    return BillLine(LineKind.FEE, text, share.precise, share.precise.rounded(currency), fee=share)


def _sum_of(calls: Iterable[BilledCall], *, late: bool) -> CallSum:
    chosen = [call for call in calls if call.late is late]
    return CallSum(
        len(chosen), total(call.precise for call in chosen), total(call.rounded for call in chosen)
    )


def _call_lines(in_time: CallSum, late: CallSum) -> Iterable[BillLine]:
    """A line for the period's calls and one for late ones: sums of rounded prices, so the bill adds up."""
    for kind, ending, calls in (
        (LineKind.CALLS, "", in_time),
        (LineKind.LATE_CALLS, " of earlier periods", late),
    ):
        if calls.calls:
            text = f"{calls.calls} {'call' if calls.calls == 1 else 'calls'}{ending}"
            yield BillLine(kind, text, calls.precise, calls.rounded)


def _covered(calls: Iterable[UnbilledCall], period: Period) -> Iterable[CoveredCall]:
    """The calls of the period itself, whose plan is known."""
    for call in calls:
        if call.plan_version_id is not None and call.ended_at >= period.start:
            yield CoveredCall(
                call.record_id,
                call.plan_version_id,
                call.caller,
                call.callee,
                call.answered_at,
                call.duration_us,
                call.precise,
                call.rounded,
            )


def _with_inclusion(call: BilledCall, inclusion: Inclusion | None) -> BilledCall:
    if inclusion is None:
        return call
    return replace(call, included_s=inclusion.seconds, included=inclusion.amount)


def _allowance_lines(inclusions: Iterable[Inclusion], pots: dict[int, Pot]) -> Iterable[BillLine]:
    """A line for each plan whose included minutes were used: what they took off the calls above."""
    taken = list(inclusions)
    for plan_id, pot in pots.items():
        if pot.used_s:
            mine = [inclusion for inclusion in taken if inclusion.plan_id == plan_id]
            used, all_of_them = describe_seconds(pot.used_s), describe_seconds(pot.seconds)
            yield BillLine(
                LineKind.ALLOWANCE,
                f"{pot.plan_name}, included minutes: {used} of {all_of_them}",
                -total(inclusion.precise for inclusion in mine),
                -total(inclusion.amount for inclusion in mine),
            )


def mark_taxed(lines: Iterable[BillLine], taxes: Sequence[TaxRate]) -> Iterable[BillLine]:
    """The lines with the taxes that are on each."""
    if not taxes:
        yield from lines
        return
    for line in lines:
        on = _TAXED_AS.get(line.kind)
        percents = tuple(tax.show_percent() for tax in taxes if on in tax.on)
        yield replace(line, tax_percents=percents) if percents else line


def _tax_lines(lines: Sequence[BillLine], taxes: Sequence[TaxRate], currency: Currency) -> Iterable[BillLine]:
    """A line for every tax that is on any of the lines."""
    for tax in taxes:
        base = total(line.amount for line in lines if _TAXED_AS.get(line.kind) in tax.on)
        if base:
            precise = tax.of(base)
            applied = AppliedTax(tax.name, tax.show_percent(), base)
            yield BillLine(
                LineKind.TAX,
                f"{tax.name} {applied.percent} %",
                precise,
                precise.rounded(currency),
                tax=applied,
            )


def last_day(period: Period, zone: tzinfo) -> date:
    """The last local day of a period."""
    return (period.end - timedelta(microseconds=1)).astimezone(zone).date()


def describe_days(period: Period, zone: tzinfo) -> str:
    """The first and the last local day of a period: `1–30 November 2026`."""
    first = period.start.astimezone(zone)
    last = (period.end - timedelta(microseconds=1)).astimezone(zone)
    end = f"{last.day} {last:%B} {last.year}"
    if first.date() == last.date():
        return end
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{end}"
    if first.year == last.year:
        return f"{first.day} {first:%B} – {end}"
    return f"{first.day} {first:%B} {first.year} – {end}"

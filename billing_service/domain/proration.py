"""The monthly fee, in arrears: fee × (time in force ÷ whole period), by the clock on the wall.

Each part of a period is charged the fee up to its end less the fee up to its start, both cut to whole
micro-units. So the parts of a period that was charged without a gap add up to the fee exactly, however it was
divided. A line is rounded to the minor unit by itself, half-up; the lines of a bill may therefore differ from
the fee by up to half a minor unit each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from billing_service.domain.allowance import NO_ALLOWANCE, Allowance
from billing_service.domain.money import Money
from billing_service.domain.period import Period


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """That a plan version was in force for an account in `[start, end)`; no end: it still is."""

    plan_version_id: int
    plan_name: str
    monthly_fee: Money
    start: datetime
    end: datetime | None
    plan_id: int = 0
    allowance: Allowance = NO_ALLOWANCE


@dataclass(frozen=True, slots=True)
class Proration:
    """How a fee came to be what it is: the monthly fee × (time charged ÷ whole period), on the wall clock."""

    monthly_fee: Money
    charged_us: int
    whole_us: int


@dataclass(frozen=True, slots=True)
class FeeShare:
    """What one plan version costs in a period: the parts in which it was charged, and the precise amount."""

    plan_version_id: int
    plan_name: str
    parts: tuple[Period, ...]
    precise: Money
    proration: Proration


def prorate(
    plans: Iterable[PlanInForce], *, whole: Period, charged: Sequence[Period], zone: tzinfo
) -> list[FeeShare]:
    """The share of each plan version, in the order in which they came into force.

    `whole` is the full period that the fee is for; `charged` are the parts of it in which the account was
    open and not suspended.
    """
    shares: dict[int, FeeShare] = {}
    whole_us = whole.wall_us(zone)
    for plan in sorted(plans, key=lambda plan: plan.start):
        for span in charged:
            part = span.overlap(plan.start, plan.end)
            if part is None:
                continue
            share = shares.get(plan.plan_version_id)
            if share is None:
                nothing = Proration(plan.monthly_fee, 0, whole_us)
                share = FeeShare(plan.plan_version_id, plan.plan_name, (), Money(0), nothing)
            shares[plan.plan_version_id] = FeeShare(
                share.plan_version_id,
                share.plan_name,
                _joined(share.parts, part),
                share.precise + fee_for(plan.monthly_fee, part, whole=whole, zone=zone),
                Proration(plan.monthly_fee, share.proration.charged_us + part.wall_us(zone), whole_us),
            )
    return list(shares.values())


def fee_for(monthly_fee: Money, part: Period, *, whole: Period, zone: tzinfo) -> Money:
    """The precise fee for a part of a whole period."""
    return Money(share_of(monthly_fee.micros, part, whole=whole, zone=zone))


def share_of(amount: int, part: Period, *, whole: Period, zone: tzinfo) -> int:
    """The whole units of an amount a month that fall to a part of a whole period."""
    length_us = whole.wall_us(zone)
    up_to_end = amount * Period(whole.start, part.end).wall_us(zone) // length_us
    up_to_start = amount * Period(whole.start, part.start).wall_us(zone) // length_us
    return up_to_end - up_to_start


def _joined(parts: tuple[Period, ...], part: Period) -> tuple[Period, ...]:
    """`parts` and one more; one that follows on the last without a gap prolongs it."""
    if parts and parts[-1].end == part.start:
        return (*parts[:-1], Period(parts[-1].start, part.end))
    return (*parts, part)

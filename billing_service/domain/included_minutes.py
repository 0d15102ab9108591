"""Included minutes in a period: how many there are, and which calls use them up.

The minutes of a plan are one pot for the period, whatever versions of the plan were in force in it: minutes a
month × time in force, as with the fee, counted in seconds. Calls that end in the period use the pot of the
plan that was in force at their answer, one after the other in the order in which they were answered. They
use charged seconds that cost something; the standing charge stays. What a call then still costs is cut and
rounded once, like any price. A late call uses none: the minutes of its period are gone with it, and those of
the next are for the calls of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Currency, Money
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce, share_of


@dataclass(frozen=True, slots=True)
class Pot:
    """The included seconds of a plan in a period, and how many of them are used."""

    plan_name: str
    seconds: int
    used_s: int = 0

    @property
    def left_s(self) -> int:
        return self.seconds - self.used_s


@dataclass(frozen=True, slots=True)
class CoveredCall:
    """A call of the period that may use included minutes, as far as that depends on the call."""

    record_id: str
    plan_version_id: int
    caller: str
    callee: str
    answered_at: datetime
    duration_us: int
    precise: Money
    rounded: Money


@dataclass(frozen=True, slots=True)
class Inclusion:
    """What included minutes do for a call: seconds used, and what they take off its price."""

    plan_id: int
    seconds: int
    precise: Money
    amount: Money
    """What the rounded price and the rounded rest differ by."""


def pots_of(
    plans: Iterable[PlanInForce], *, whole: Period, entitled: Sequence[Period], zone: tzinfo
) -> dict[int, Pot]:
    """The pot of each plan with included minutes, by the plan's identifier, in order of first force.

    `entitled` are the parts of the period in which the account is open and not suspended.
    """
    pots: dict[int, Pot] = {}
    for plan in sorted(plans, key=lambda plan: plan.start):
        if not plan.allowance.seconds:
            continue
        for span in entitled:
            part = span.overlap(plan.start, plan.end)
            if part is not None:
                pot = pots.get(plan.plan_id, Pot(plan.plan_name, 0))
                more_s = share_of(plan.allowance.seconds, part, whole=whole, zone=zone)
                pots[plan.plan_id] = Pot(plan.plan_name, pot.seconds + more_s)
    return pots


def use_included(
    calls: Iterable[CoveredCall],
    pots: Mapping[int, Pot],
    *,
    plan_ids: Mapping[int, int],
    compiled: Callable[[int], CompiledPlan],
    currency: Currency,
    zone: tzinfo,
) -> tuple[dict[str, Inclusion], dict[int, Pot]]:
    """What included minutes do for each call, by record, and the pots after it.

    `plan_ids` are the plans of the versions in force in the period that have included minutes: another
    version of the same plan may have none. `compiled` gives a version ready to rate.
    """
    left = dict(pots)
    inclusions: dict[str, Inclusion] = {}
    for call in sorted(calls, key=lambda call: (call.answered_at, call.record_id)):
        plan_id = plan_ids.get(call.plan_version_id)
        pot = None if plan_id is None else left.get(plan_id)
        if plan_id is None or pot is None or not pot.left_s:
            continue
        plan = compiled(call.plan_version_id)
        if not plan.terms.allowance.covers(call.callee):
            continue
        part = plan.included_part(
            source=call.caller,
            destination=call.callee,
            answered_at=call.answered_at,
            duration_us=call.duration_us,
            left_s=pot.left_s,
            zone=zone,
        )
        if part.seconds:
            left[plan_id] = replace(pot, used_s=pot.used_s + part.seconds)
            rest = call.precise - part.precise
            inclusions[call.record_id] = Inclusion(
                plan_id, part.seconds, part.precise, call.rounded - rest.rounded(currency)
            )
    return inclusions, left


def describe_seconds(seconds: int) -> str:
    """Minutes, with seconds where there are any: `63`, `62:30`."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d}" if rest else str(minutes)

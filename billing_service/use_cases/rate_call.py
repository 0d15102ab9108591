"""Rate a call when it arrives.

The plan version is the one in force for the caller's account at the answer; finding it is the storage's
affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from threading import Lock
from typing import Final

from billing_service.bulk.vector_rating import price_each
from billing_service.domain.call import Call
from billing_service.domain.compiled_plan import FREE, CompiledPlan, RatedCall
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import PlanTerms
from billing_service.domain.wall_clock import epoch_us

_MOST_PLANS_KEPT: Final = 1000


class CompiledPlans:
    """The compiled plan versions of this process. Versions never change, so nothing here goes out of date."""

    def __init__(self) -> None:
        self._plans: dict[int, CompiledPlan] = {}
        self._lock = Lock()

    def get(self, plan_version_id: int, load: Callable[[int], PlanTerms]) -> CompiledPlan:
        """The compiled plan version, loaded with `load` when it isn't there yet."""
        plan = self._plans.get(plan_version_id)
        if plan is None:
            plan = CompiledPlan(load(plan_version_id))
            with self._lock:
                if len(self._plans) >= _MOST_PLANS_KEPT:
                    self._plans.clear()
                self._plans[plan_version_id] = plan
        return plan


def rate_call(call: Call, plan: CompiledPlan | None, *, currency: Currency, zone: tzinfo) -> RatedCall | None:
    """The price of a call under the plan in force at its answer.

    None when it can't be rated: it is chargeable, but no plan was in force for its caller.
    """
    if plan is None:
        return None if call.is_chargeable else FREE
    return plan.rate(call, currency=currency, zone=zone)


def rate_calls(
    calls: Sequence[Call], plan: CompiledPlan, *, currency: Currency, zone: tzinfo
) -> Sequence[RatedCall]:
    """The prices of many chargeable calls under one plan, by arrays; the same as of each by itself."""
    try:
        micros = price_each(
            plan,
            [
                (call.caller, call.callee, epoch_us(call.answered_at), call.duration_us)
                for call in calls
                if call.answered_at is not None
            ],
            zone=zone,
        )
    except OverflowError:  # a price too large to be stored; which of them, the other way tells
        return [plan.rate(call, currency=currency, zone=zone) for call in calls]
    return [RatedCall(precise, precise.rounded(currency)) for precise in map(Money, micros)]

"""Rate a call when it arrives.

The plan version is the one in force for the caller's account at the answer; finding it is the storage's
affair.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from threading import Lock
from typing import Final

import numpy as np

from billing_service.bulk.call_block import CallBlock, Integers
from billing_service.bulk.vector_rating import price_calls
from billing_service.domain.call import Call
from billing_service.domain.compiled_plan import FREE, CompiledPlan, RatedCall
from billing_service.domain.money import LARGEST_MICROS, Currency
from billing_service.domain.plan import PlanTerms

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


def price_block(
    block: CallBlock, places: Integers, plan: CompiledPlan, *, currency: Currency, zone: tzinfo
) -> Integers:
    """The precise prices (micro-units) of some calls of a block, all chargeable, under one plan.

    A price that is too large to be stored is `LARGEST_MICROS` + 1.
    """
    chosen = places.tolist()
    try:
        micros = price_calls(
            plan,
            sources=[block.callers[place] for place in chosen],
            destinations=[block.callees[place] for place in chosen],
            answered_us=block.answered_us[places],
            durations_us=block.durations_us[places],
            zone=zone,
        )
    except OverflowError:  # which of them it is, the other way tells
        rated = [plan.rate(block.call(place), currency=currency, zone=zone) for place in chosen]
        micros = np.array([min(one.precise.micros, LARGEST_MICROS + 1) for one in rated], np.int64)
    return np.minimum(micros, LARGEST_MICROS + 1)

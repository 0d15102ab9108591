"""How many calls a second are rated: one at a time, and vectorised."""

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np

from bench.billing.population import MONTH, terms
from billing_service.bulk.vector_rating import price_calls
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Currency
from billing_service.domain.wall_clock import epoch_us

_ZONE = ZoneInfo("Europe/Zurich")
_USD = Currency.of("USD")


@dataclass(frozen=True)
class Rated:
    """Calls a second."""

    one_at_a_time: float
    vectorised: float
    calls: int


def rate(count: int) -> Rated:
    """Rate the same calls both ways: to any of a dozen tariffs or none, around a change of the clocks too."""
    plan = CompiledPlan(terms())
    calls = _calls(count)
    plan.rate(calls[0], currency=_USD, zone=_ZONE)
    started = time.perf_counter()
    slowly = [plan.rate(call, currency=_USD, zone=_ZONE).precise.micros for call in calls]
    one_at_a_time = count / (time.perf_counter() - started)
    callees = [call.callee for call in calls]
    callers = [call.caller for call in calls]
    instants = np.array([epoch_us(call.answered_at) for call in calls if call.answered_at is not None])
    durations = np.array([call.duration_us for call in calls])
    started = time.perf_counter()
    quickly = price_calls(
        plan, sources=callers, destinations=callees, answered_us=instants, durations_us=durations, zone=_ZONE
    )
    vectorised = count / (time.perf_counter() - started)
    assert quickly.tolist() == slowly, "both raters must agree"
    return Rated(one_at_a_time, vectorised, count)


def _calls(count: int) -> list[Call]:
    chance = random.Random(1)
    calls = []
    for number in range(count):
        at = MONTH + timedelta(microseconds=chance.randrange(31 * 86_400_000_000))
        duration_us = int(chance.expovariate(1 / 180_000_000)) + 1
        calls.append(
            Call(
                record_id=str(number),
                call_id=str(number),
                caller="000001",
                callee=f"{chance.randrange(10**10):010d}",
                emergency=False,
                invited_at=at,
                ringing_at=at,
                answered_at=at,
                acknowledged_at=at,
                ended_at=at + timedelta(microseconds=duration_us),
                duration_us=duration_us,
                outcome=Outcome.ANSWERED,
                status=200,
                reason="OK",
                ended_by=EndedBy.CALLER,
            )
        )
    return calls

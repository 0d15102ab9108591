"""Calls rated by arrays cost what they cost rated one at a time."""

from datetime import datetime, timedelta, tzinfo

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_service.bulk.vector_rating import price_calls, price_many
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.curve import PriceCurve
from billing_service.domain.money import LARGEST_MICROS, Money
from billing_service.domain.plan import PlanTerms, Price, Tariff, Window
from billing_service.domain.wall_clock import epoch_us, zone_clock
from tests.property.billing_service.plan_strategies import ZONES, answers, prices, zones
from tests.support.examples import examples

durations = st.integers(0, 10**9) | st.integers(0, 40 * 86_400 * 10**6)
calls = st.lists(st.tuples(answers, st.integers(0, 999_999), durations), min_size=1, max_size=40)


@given(prices(), calls, zones)
@settings(max_examples=examples(150))
def test_prices_by_arrays_are_those_of_the_curve(
    price: Price, drawn: list[tuple[datetime, int, int]], zone: tzinfo
) -> None:
    curve = PriceCurve(price)
    answered_us = [epoch_us(at + timedelta(microseconds=more)) for at, more, _ in drawn]
    durations_us = [duration for _, _, duration in drawn]
    expected = [
        curve.price_us(at, duration, zone_clock(zone))
        for at, duration in zip(answered_us, durations_us, strict=True)
    ]
    assert price_many(curve, np.array(answered_us), np.array(durations_us), zone).tolist() == expected


numbers = st.text("0123", max_size=5) | st.sampled_from(
    ["", "+41", "alice", "0²1", "1" * 16, "1" * 17, "0" * 40]
)
prefixes = st.text("0123", max_size=3)


@given(
    st.lists(prefixes, unique=True, max_size=12),
    st.sampled_from(["", "", "0"]),
    st.lists(st.tuples(numbers, numbers, answers), min_size=1, max_size=30),
)
@settings(max_examples=examples(150))
@example(["0", "00"], "", [("1", "0", datetime.fromisoformat("2026-11-01T05:30Z"))])
def test_the_tariff_chosen_by_arrays_is_the_one_chosen_for_each_call(
    destinations: list[str], source: str, drawn: list[tuple[str, str, datetime]]
) -> None:
    tariffs = tuple(
        Tariff(Price(Money(1_000 * place + 1)), prefix, source) for place, prefix in enumerate(destinations)
    )
    plan = CompiledPlan(PlanTerms("Plan", Money(0), Price(Money(999_999)), tariffs))
    found = price_calls(
        plan,
        sources=[caller for caller, _, _ in drawn],
        destinations=[callee for _, callee, _ in drawn],
        answered_us=np.array([epoch_us(at) for _, _, at in drawn]),
        durations_us=np.full(len(drawn), 60_000_000),
        zone=ZONES[0],
    )
    assert found.tolist() == [
        plan.price_at(source=caller, destination=callee, answered_at=at).per_minute.micros
        for caller, callee, at in drawn
    ]


def test_sums_that_would_leave_64_bits_are_made_by_the_curve() -> None:
    dear = Price(Money(LARGEST_MICROS), windows=(Window(None, 0, 60, Money(LARGEST_MICROS - 1)),))
    curve = PriceCurve(dear)
    answered_us, duration_us = epoch_us(datetime.fromisoformat("2026-11-01T05:30Z")), 7 * 60 * 1_000_000
    expected = curve.price_us(answered_us, duration_us, zone_clock(ZONES[0]))
    assert expected < 2**63 < expected * 60
    assert price_many(curve, np.array([answered_us]), np.array([duration_us]), ZONES[0]).tolist() == [
        expected
    ]


def test_no_calls_have_no_prices() -> None:
    plan = CompiledPlan(PlanTerms("Plan", Money(0), Price(Money(1))))
    nothing = np.zeros(0, np.int64)
    found = price_calls(
        plan, sources=[], destinations=[], answered_us=nothing, durations_us=nothing, zone=ZONES[0]
    )
    assert found.tolist() == []

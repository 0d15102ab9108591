"""Rating a call under a plan, and the sentences that explain its price."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from billing_service.bulk.call_block import CallBlock
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.compiled_plan import FREE, CompiledPlan, RatedCall
from billing_service.domain.money import LARGEST_MICROS, Currency, Money
from billing_service.domain.plan import Counting, PlanTerms, Price, Tariff, Window
from billing_service.use_cases.explain_price import explain_call
from billing_service.use_cases.rate_call import CompiledPlans, price_block, rate_call

USD = Currency.of("USD")
NIGHT = Window(None, 22 * 60, 6 * 60, Money(0))
TERMS = PlanTerms(
    "Metro",
    Money.parse("2.50"),
    Price(
        Money.parse("0.09"),
        standing_charge=Money.parse("0.36"),
        counting=Counting.COMPLETED,
        windows=(NIGHT,),
    ),
    (Tariff(Price(Money.parse("0.125"), initial_increment_s=30, next_increment_s=6), "0041", "00"),),
)


def call(start: str, end: str, **changes: object) -> Call:
    answered_at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    ended_at = datetime.fromisoformat(end).replace(tzinfo=UTC)
    sound = Call(
        record_id="1",
        call_id="a@b",
        caller="0001",
        callee="0002",
        emergency=False,
        invited_at=answered_at,
        ringing_at=None,
        answered_at=answered_at,
        acknowledged_at=None,
        ended_at=ended_at,
        duration_us=(ended_at - answered_at) // timedelta(microseconds=1),
        outcome=Outcome.ANSWERED,
        status=200,
        reason="OK",
        ended_by=EndedBy.CALLER,
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


EVENING_CALL = call("2026-11-02T21:57:13", "2026-11-02T22:10:56")
MISSED = replace(EVENING_CALL, outcome=Outcome.BUSY, answered_at=None, duration_us=0)


def rate(call: Call, terms: PlanTerms | None = TERMS) -> RatedCall | None:
    plan = None if terms is None else CompiledPlan(terms)
    return rate_call(call, plan, currency=USD, zone=UTC)


def test_a_call_costs_what_its_plan_says() -> None:
    assert rate(EVENING_CALL) == RatedCall(Money.parse("0.54"), Money.parse("0.54"))


def test_a_tariff_that_fits_takes_the_place_of_the_base_price() -> None:
    # 36 s at 12.5 cents a minute.
    rated = rate(call("2026-11-02T12:00:00", "2026-11-02T12:00:31", callee="0041441234567"))
    assert rated == RatedCall(Money.parse("0.075"), Money.parse("0.08"))


def test_emergency_calls_and_unanswered_ones_are_free_with_or_without_a_plan() -> None:
    for free in (replace(EVENING_CALL, emergency=True), MISSED):
        assert rate(free) == FREE
        assert rate(free, None) == FREE


def test_without_a_plan_a_call_has_no_price_rather_than_a_price_of_zero() -> None:
    assert rate(EVENING_CALL, None) is None


def test_a_plan_is_compiled_once() -> None:
    loaded: list[int] = []

    def load(plan_version_id: int) -> PlanTerms:
        loaded.append(plan_version_id)
        return TERMS

    plans = CompiledPlans()
    assert plans.get(7, load) is plans.get(7, load)
    plans.get(8, load)
    assert loaded == [7, 8]


def price_each(calls: list[Call], terms: PlanTerms = TERMS) -> list[int]:
    """What calls cost as a block."""
    block = CallBlock.of(calls)
    prices = price_block(block, np.arange(len(calls)), CompiledPlan(terms), currency=USD, zone=UTC)
    return [int(price) for price in prices]


def precise(call: Call, terms: PlanTerms = TERMS) -> int:
    rated = rate(call, terms)
    assert rated is not None
    return rated.precise.micros


def test_many_calls_cost_what_each_costs_by_itself() -> None:
    abroad = call("2026-11-02T12:00:00", "2026-11-02T12:00:31", callee="0041441234567")
    calls = [EVENING_CALL, abroad, replace(EVENING_CALL, callee="alice"), abroad]
    assert price_each(calls) == [precise(one) for one in calls]
    assert price_each([]) == []


def test_a_price_beyond_all_bounds_harms_no_other() -> None:
    dear = replace(TERMS, tariffs=(Tariff(Price(Money(LARGEST_MICROS)), "0041"),))
    endless = call("2026-11-02T12:00:00", "2026-11-03T12:00:00", callee="0041441234567")
    assert precise(endless, dear) > 2**63
    assert price_each([EVENING_CALL, endless], dear) == [precise(EVENING_CALL), LARGEST_MICROS + 1]


def explain(call: Call, terms: PlanTerms | None = TERMS) -> list[str]:
    plan = None if terms is None else CompiledPlan(terms)
    return explain_call(call, plan, currency=USD, zone=UTC)[1]


def test_the_explanation_leads_from_the_plan_to_the_price() -> None:
    assert explain(EVENING_CALL) == [
        "Plan Metro, base price: none of its tariffs fits this call.",
        "Standing charge for an answered call: 0.36.",
        "Only completed increments of 60 s count, in each part of the call between window borders.",
        "From Mon 21:57:13: 2 min at 0.09 a minute, 0.180000.",
        "From Mon 22:00:00: 10 min at 0.00 a minute (every day 22:00–06:00), 0.000000.",
        "Together 0.540000, rounded to 0.54 USD.",
    ]


def test_the_explanation_of_a_tariff_names_its_prefixes() -> None:
    assert explain(call("2026-11-02T12:00:00", "2026-11-02T12:00:31", callee="0041441234567")) == [
        "Plan Metro, tariff to 0041… from 00….",
        "Every started increment of 30 s, then 6 s counts whole, at the price in force when it starts.",
        "From Mon 12:00:00: 0 min 36 s at 0.125 a minute, 0.075000.",
        "Together 0.075000, rounded to 0.08 USD.",
    ]


def test_what_costs_nothing_says_why() -> None:
    assert explain(replace(EVENING_CALL, emergency=True)) == ["An emergency call is never charged."]
    assert explain(MISSED) == ["Only an answered call is charged."]
    (reason,) = explain(EVENING_CALL, None)
    assert "no price" in reason


def test_a_call_of_weeks_is_not_explained_for_pages() -> None:
    lines = explain(call("2026-11-02T12:00:00", "2027-02-02T12:00:00"))
    assert len(lines) < 60
    assert "more parts" in lines[-2]

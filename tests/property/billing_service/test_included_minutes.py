"""Bills with included minutes: whatever the plans, the calls and their order, the sums are right."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.allowance import Allowance
from billing_service.domain.bill import BillContents, LineKind, UnbilledCall, build_bill
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.included_minutes import pots_of
from billing_service.domain.money import Currency, Money, total
from billing_service.domain.period import Period
from billing_service.domain.plan import PlanTerms, Price
from billing_service.domain.proration import PlanInForce
from tests.property.billing_service.plan_strategies import prices
from tests.support.examples import examples

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
NOVEMBER = Period(START, END)
currencies = st.sampled_from([Currency.of(code) for code in ("USD", "JPY", "KWD")])
allowances = st.builds(
    Allowance, st.sampled_from([0, 1, 7, 100, 10_000]), st.sampled_from([(), ("1",), ("1", "22")])
)
changes = st.lists(st.integers(1, 2_591_999), max_size=3, unique=True).map(sorted)
Facts = tuple[int, int, str]
call_facts = st.lists(
    st.tuples(st.integers(-86_400, 2_592_000), st.integers(0, 20_000), st.sampled_from(["1", "2", "22"])),
    max_size=12,
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, PlanTerms, datetime]]:
    """Which plan and version of two plans came into force, one after the other, from before the period on."""
    starts = [START - timedelta(days=40), *(START + timedelta(seconds=s) for s in draw(changes))]
    return [
        (draw(st.integers(1, 2)), PlanTerms("Plan", Money(0), draw(prices()), allowance=draw(allowances)), at)
        for at in starts
    ]


def bill_of(
    history: list[tuple[int, PlanTerms, datetime]],
    facts: list[Facts],
    currency: Currency,
    shuffle: Callable[[list[UnbilledCall]], None] = lambda calls: None,
) -> tuple[BillContents, list[PlanInForce]]:
    compiled = cache(lambda version: CompiledPlan(history[version][1]))
    ends = [*(at for _, _, at in history[1:]), None]
    in_force = [
        PlanInForce(version, terms.name, Money(0), start, end, plan_id, terms.allowance)
        for version, ((plan_id, terms, start), end) in enumerate(zip(history, ends, strict=True))
    ]
    calls = []
    for index, (offset_s, duration_s, callee) in enumerate(facts):
        answered_at, duration_us = START + timedelta(seconds=offset_s), duration_s * 10**6
        version = max(v for v, (_, _, start) in enumerate(history) if start <= answered_at)
        plan = compiled(version)
        price: Price = plan.price_at(source="5", destination=callee, answered_at=answered_at)
        precise = plan.curve(price).price_call(answered_at=answered_at, duration_us=duration_us, zone=UTC)
        ended_at = answered_at + timedelta(seconds=duration_s)
        rounded = precise.rounded(currency)
        calls.append(
            UnbilledCall(
                str(index), callee, answered_at, ended_at, duration_us, precise, rounded, version, "5"
            )
        )
    shuffle(calls)
    bill = build_bill(
        period=NOVEMBER,
        whole=NOVEMBER,
        charged=[NOVEMBER],
        plans=in_force,
        calls=calls,
        currency=currency,
        zone=UTC,
        compiled=compiled,
    )
    return bill, in_force


@given(histories(), call_facts, currencies)
@settings(max_examples=examples(80), deadline=None)
def test_what_included_minutes_take_off_adds_up_and_never_more_than_the_calls_cost(
    history: list[tuple[int, PlanTerms, datetime]], facts: list[Facts], currency: Currency
) -> None:
    bill, in_force = bill_of(history, facts, currency)
    pots = pots_of(in_force, whole=NOVEMBER, entitled=[NOVEMBER], zone=UTC)

    assert bill.total == total(line.amount for line in bill.lines)
    taken = -total(line.amount for line in bill.lines if line.kind is LineKind.ALLOWANCE)
    assert taken == total(call.included for call in bill.calls)
    assert bill.call_total == total(call.rounded for call in bill.calls) - taken
    plan_ids = {plan.plan_version_id: plan.plan_id for plan in in_force}
    used: dict[int, int] = {}
    for call in bill.calls:
        assert Money(0) <= call.included <= call.rounded
        assert not (call.late and call.included_s)
        assert call.plan_version_id is not None
        if call.included_s:
            plan_id = plan_ids[call.plan_version_id]
            used[plan_id] = used.get(plan_id, 0) + call.included_s
            assert history[call.plan_version_id][1].allowance.covers(call.callee)
    for plan_id, seconds in used.items():
        assert seconds <= pots[plan_id].seconds


@given(histories(), call_facts, currencies, st.randoms(use_true_random=False))
@settings(max_examples=examples(40), deadline=None)
def test_the_order_in_which_calls_are_found_changes_nothing(
    history: list[tuple[int, PlanTerms, datetime]],
    facts: list[Facts],
    currency: Currency,
    chance: Random,
) -> None:
    bill, _ = bill_of(history, facts, currency)
    shuffled, _ = bill_of(history, facts, currency, chance.shuffle)
    assert shuffled == bill


@given(st.lists(st.integers(1, 2_591_999), max_size=5, unique=True), st.sampled_from([1, 7, 100, 9999]))
@settings(max_examples=examples(80))
def test_edits_of_a_plan_leave_its_minutes_as_they_are(edits: list[int], minutes: int) -> None:
    borders = [START, *(START + timedelta(seconds=s) for s in sorted(edits)), None]
    in_force = [
        PlanInForce(version, "Plan", Money(0), start, end, 1, Allowance(minutes))
        for version, (start, end) in enumerate(pairwise(borders))
        if start is not None
    ]
    pots = pots_of(in_force, whole=NOVEMBER, entitled=[NOVEMBER], zone=UTC)
    assert pots[1].seconds == minutes * 60

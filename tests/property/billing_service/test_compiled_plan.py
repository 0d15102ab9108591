"""Plans with tariffs and included minutes: compiled ones say what their rules, read slowly, say."""

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import repeat

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import PlanTerms, Price, Tariff
from billing_service.domain.rating import charge_call
from tests.property.billing_service.plan_strategies import answers, prices, zones
from tests.support.examples import examples

USD = Currency.of("USD")
# Few digits, so that prefixes match, and compete.
numbers = st.text("12", min_size=1, max_size=5)
prefixes = st.text("12", max_size=4)
validity = st.none() | st.integers(0, 365).map(lambda day: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(day))


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """A tariff that may be in force for a while only."""
    valid_from, valid_to = draw(validity), draw(validity)
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        valid_to = None
    return Tariff(draw(prices()), draw(prefixes), draw(prefixes), valid_from, valid_to)


@st.composite
def plans(draw: st.DrawFn) -> PlanTerms:
    """A plan; a tariff that would compete with one before it is left out."""
    terms = PlanTerms("Plan", Money(0), draw(prices()))
    for tariff in draw(st.lists(tariffs(), max_size=8)):
        try:
            terms = PlanTerms("Plan", Money(0), terms.base_price, (*terms.tariffs, tariff))
        except InvalidFields:
            continue
    return terms


def price_by_the_book(terms: PlanTerms, source: str, destination: str, answered_at: datetime) -> Price:
    """Longest destination prefix, then longest source prefix, of those valid at the answer; else the base."""
    fitting = [
        tariff
        for tariff in terms.tariffs
        if destination.startswith(tariff.destination_prefix)
        and source.startswith(tariff.source_prefix)
        and (tariff.valid_from is None or tariff.valid_from <= answered_at)
        and (tariff.valid_to is None or answered_at < tariff.valid_to)
    ]
    best = max(fitting, key=lambda t: (len(t.destination_prefix), len(t.source_prefix)), default=None)
    return terms.base_price if best is None else best.price


def answered_call(caller: str, callee: str, answered_at: datetime, duration_us: int) -> Call:
    return Call(
        record_id="1",
        call_id="1",
        caller=caller,
        callee=callee,
        emergency=False,
        invited_at=answered_at,
        ringing_at=None,
        answered_at=answered_at,
        acknowledged_at=None,
        ended_at=answered_at + timedelta(microseconds=duration_us),
        duration_us=duration_us,
        outcome=Outcome.ANSWERED,
        status=200,
        reason="OK",
        ended_by=EndedBy.CALLER,
    )


@given(plans(), numbers, numbers, answers, st.integers(0, 3 * 10**9), zones)
@settings(max_examples=examples(60))
def test_a_compiled_plan_prices_a_call_by_the_book(
    terms: PlanTerms, caller: str, callee: str, answered_at: datetime, duration_us: int, zone: tzinfo
) -> None:
    price = price_by_the_book(terms, caller, callee, answered_at)
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    rated = CompiledPlan(terms).rate(
        answered_call(caller, callee, answered_at, duration_us), currency=USD, zone=zone
    )
    assert (rated.precise, rated.rounded) == (charge.precise, charge.precise.rounded(USD))


@given(prices(), answers, st.integers(0, 3 * 10**9), st.integers(0, 4000), zones)
@settings(max_examples=examples(60))
def test_included_seconds_pay_the_first_seconds_that_cost_something(
    price: Price, answered_at: datetime, duration_us: int, left_s: int, zone: tzinfo
) -> None:
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    seconds = [
        per_minute
        for piece in charge.pieces
        for per_minute in repeat(piece.per_minute.micros, piece.charged_s)
        if per_minute
    ]
    rest = price.standing_charge.micros + sum(seconds[left_s:]) // 60

    part = CompiledPlan(PlanTerms("Plan", Money(0), price)).included_part(
        source="1",
        destination="2",
        answered_at=answered_at,
        duration_us=duration_us,
        left_s=left_s,
        zone=zone,
    )

    assert part.seconds == min(left_s, len(seconds))
    assert charge.precise - part.precise == Money(rest)


@given(
    st.lists(st.tuples(prefixes, prefixes, validity), max_size=12, unique_by=lambda three: three[:2]),
    numbers,
    numbers,
    answers,
)
@settings(max_examples=examples(200))
def test_the_tariff_with_the_longest_prefixes_is_found(
    rows: list[tuple[str, str, datetime | None]], caller: str, callee: str, answered_at: datetime
) -> None:
    tariffs = tuple(
        Tariff(Price(Money(place + 1)), destination, source, valid_from)
        for place, (destination, source, valid_from) in enumerate(rows)
    )
    terms = PlanTerms("Plan", Money(0), Price(Money(0)), tariffs)
    found = CompiledPlan(terms).price_at(source=caller, destination=callee, answered_at=answered_at)
    assert found == price_by_the_book(terms, caller, callee, answered_at)

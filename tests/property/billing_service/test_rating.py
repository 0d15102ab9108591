"""Both raters agree with a second-by-second one, and with each other where that one would take too long."""

from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_service.domain.curve import PriceCurve
from billing_service.domain.itemised import itemise
from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Window
from billing_service.domain.rating import charge_call
from tests.property.billing_service.plan_strategies import CHANGES, ZONES, answers, prices, zones
from tests.property.billing_service.second_by_second import price_micros
from tests.support.examples import examples

NIGHT = Window(None, 22 * 60, 6 * 60, Money(0))


@given(prices(), answers, st.integers(0, 3 * 3600), zones)
@settings(max_examples=examples(100))
@example(
    Price(Money(600_000), next_increment_s=7, windows=(NIGHT,)),
    datetime.fromisoformat("2026-11-01T05:30Z"),
    7200,
    ZONES[2],
)
def test_the_raters_agree_with_one_that_goes_second_by_second(
    price: Price, answered_at: datetime, duration_s: int, zone: tzinfo
) -> None:
    expected = price_micros(price, answered_at, duration_s, zone)
    duration_us = duration_s * 1_000_000
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    assert charge.precise.micros == expected
    compiled = PriceCurve(price).price_call(answered_at=answered_at, duration_us=duration_us, zone=zone)
    assert compiled.micros == expected


@given(
    prices(),
    answers,
    st.integers(0, 999_999),
    st.integers(0, 10**9) | st.integers(0, 40 * 86_400 * 10**6),
    zones,
)
@settings(max_examples=examples(100))
def test_the_curve_agrees_with_the_plain_rater(
    price: Price, answered_at: datetime, microsecond: int, duration_us: int, zone: tzinfo
) -> None:
    # A plain rating of weeks in seconds would take minutes.
    if duration_us > 10**9 * price.next_increment_s:
        duration_us //= 1000
    answered_at = answered_at.replace(microsecond=microsecond)
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    curve = PriceCurve(price)
    assert curve.price_call(answered_at=answered_at, duration_us=duration_us, zone=zone) == charge.precise
    assert itemise(curve, answered_at=answered_at, duration_us=duration_us, zone=zone) == charge


@given(prices(), answers, st.integers(0, 10**10), zones)
@settings(max_examples=examples(100))
def test_the_pieces_of_a_call_follow_on_each_other_and_explain_its_price(
    price: Price, answered_at: datetime, duration_us: int, zone: tzinfo
) -> None:
    duration_us //= 1 if price.next_increment_s > 10 else 100
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    at = answered_at
    for piece in charge.pieces:
        assert piece.starts_at == at
        at += timedelta(microseconds=piece.length_us)
    length_us = (at - answered_at) // timedelta(microseconds=1)
    if price.counting is Counting.COMPLETED:
        assert length_us == duration_us
    else:
        longest_s = max(price.initial_increment_s, price.next_increment_s)
        assert duration_us <= length_us < duration_us + longest_s * 1_000_000
    assert all((piece.increments == 0) == (piece.charged_s == 0) for piece in charge.pieces)
    together = sum(piece.charged_s * piece.per_minute.micros for piece in charge.pieces)
    assert charge.precise.micros == price.standing_charge.micros + together // 60


@given(prices(counting=Counting.STARTED), answers, st.integers(0, 10**10), st.integers(0, 10**9), zones)
@settings(max_examples=examples(100))
def test_a_longer_call_never_costs_less(
    price: Price, answered_at: datetime, duration_us: int, more_us: int, zone: tzinfo
) -> None:
    curve = PriceCurve(price)
    shorter = curve.price_call(answered_at=answered_at, duration_us=duration_us, zone=zone)
    longer = curve.price_call(answered_at=answered_at, duration_us=duration_us + more_us, zone=zone)
    assert longer >= shorter


@given(
    prices(),
    st.sampled_from(CHANGES),
    st.lists(st.integers(0, 300), min_size=2, max_size=4, unique=True).map(sorted),
    st.integers(-3 * 3600 * 10**6, 10**6),
    st.integers(0, 6 * 3600 * 10**6),
)
@settings(max_examples=examples(150))
def test_the_curve_agrees_with_the_plain_rater_where_the_clock_changes(
    price: Price, change: tuple[tzinfo, datetime], borders: list[int], before_us: int, duration_us: int
) -> None:
    # Windows that begin and end in the hours in which clocks are changed.
    windows = [
        Window(None, start, end, Money(1_000_000 * (place + 1)))
        for place, (start, end) in enumerate(pairwise(borders))
    ]
    price = replace(price, windows=tuple(windows))
    zone, changes_at = change
    answered_at = changes_at + timedelta(microseconds=before_us)
    if duration_us > 10**9 * price.next_increment_s:
        duration_us //= 10
    charge = charge_call(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    curve = PriceCurve(price)
    assert curve.price_call(answered_at=answered_at, duration_us=duration_us, zone=zone) == charge.precise
    assert itemise(curve, answered_at=answered_at, duration_us=duration_us, zone=zone) == charge

"""The wall clock and real time agree, except where a clock change parts them."""

from datetime import UTC, datetime, timedelta, tzinfo

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.wall_clock import elapsed_wall_us, even_stretches, instant_of, wall_us
from tests.property.billing_service.plan_strategies import answers, zones
from tests.support.examples import examples

spans = st.integers(0, 400 * 86_400).map(lambda s: timedelta(seconds=s)) | st.integers(0, 10**6).map(
    lambda us: timedelta(microseconds=us)
)
MONDAY = datetime(1, 1, 1)  # noqa: DTZ001 - what a wall clock shows has no zone


@given(answers, spans, zones)
@settings(max_examples=examples(200))
def test_stretches_cover_a_span_and_the_clock_runs_evenly_in_each(
    start: datetime, span: timedelta, zone: tzinfo
) -> None:
    stretches = list(even_stretches(start, start + span, zone))
    at = start
    for stretch in stretches:
        assert stretch.start == at
        assert stretch.start < stretch.end
        assert stretch.wall_us == wall_us(stretch.start, zone)
        last = stretch.end - timedelta(microseconds=1)
        assert wall_us(last, zone) - stretch.wall_us == stretch.duration_us - 1
        at = stretch.end
    assert at == start + span or not stretches


@given(answers, zones)
@settings(max_examples=examples(200))
def test_the_first_instant_of_what_the_wall_shows(instant: datetime, zone: tzinfo) -> None:
    shown = instant.astimezone(zone).replace(tzinfo=None)
    first = instant_of(shown, zone)
    assert first <= instant
    assert first.astimezone(zone).replace(tzinfo=None) == shown
    assert (first == instant) == (instant.astimezone(zone).fold == 0)


@given(answers, spans, spans, zones)
@settings(max_examples=examples(200))
def test_wall_time_is_never_negative_and_adds_up(
    start: datetime, one: timedelta, other: timedelta, zone: tzinfo
) -> None:
    middle, end = start + one, start + one + other
    first, second = elapsed_wall_us(start, middle, zone), elapsed_wall_us(middle, end, zone)
    assert first >= 0
    assert second >= 0
    assert first + second == elapsed_wall_us(start, end, zone)


@given(answers, spans)
def test_in_utc_the_wall_clock_is_real_time(start: datetime, span: timedelta) -> None:
    assert elapsed_wall_us(start, start + span, UTC) == span // timedelta(microseconds=1)
    assert wall_us(start, UTC) == (start.replace(tzinfo=None) - MONDAY) // timedelta(microseconds=1)

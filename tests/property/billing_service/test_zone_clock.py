"""The wall clock by whole numbers shows what the wall clock of the standard library shows."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta, tzinfo

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.wall_clock import ZoneClock, epoch_us, offsets_between
from tests.property.billing_service.plan_strategies import answers, zones
from tests.support.examples import examples

MICROSECOND = timedelta(microseconds=1)
anytime = st.integers(-30 * 365, 150 * 365).map(lambda day: datetime(1980, 1, 1, tzinfo=UTC) + timedelta(day))


def offset_us(instant: datetime, zone: tzinfo) -> int:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // MICROSECOND


@given(zones, st.lists(answers | anytime, min_size=1, max_size=4))
@settings(max_examples=examples(60), deadline=None)
def test_a_zone_clock_knows_the_offset_and_how_long_it_holds(zone: tzinfo, instants: list[datetime]) -> None:
    clock = ZoneClock(zone)
    for instant in instants:
        ahead_us, until_us = clock.offset_at(epoch_us(instant))
        assert ahead_us == offset_us(instant, zone)
        assert until_us > epoch_us(instant)
        last = datetime(1970, 1, 1, tzinfo=UTC) + (until_us - 1) * MICROSECOND
        assert offset_us(last, zone) == ahead_us


@given(zones, answers, st.integers(0, 400 * 86_400 * 10**6), st.integers(0, 10**6))
@settings(max_examples=examples(60), deadline=None)
def test_the_offsets_of_a_time_are_those_of_its_instants(
    zone: tzinfo, first: datetime, length_us: int, millionths: int
) -> None:
    first_us = epoch_us(first)
    changes, offsets = offsets_between(zone, first_us, first_us + length_us)
    assert len(offsets) == len(changes) + 1
    inside_us = length_us * millionths // 10**6
    assert offsets[bisect_right(changes, first_us + inside_us)] == offset_us(
        first + inside_us * MICROSECOND, zone
    )

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.errors import InvalidFields
from billing_service.domain.period import BillingCalendar, Period, first_period

ZURICH = ZoneInfo("Europe/Zurich")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_31st_is_the_last_day_of_a_short_month_and_the_31st_again_after() -> None:
    calendar = BillingCalendar(UTC, 31)
    period = calendar.period_containing(at("2027-01-31"))
    starts = []
    for _ in range(6):
        starts.append(period.start.date().isoformat())
        period = calendar.period_after(period)
    assert starts == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30"]


@pytest.mark.parametrize("day", [29, 30, 31])
def test_february_of_a_leap_year_has_its_29th(day: int) -> None:
    period = BillingCalendar(UTC, day).period_containing(at("2028-02-29T12:00"))
    assert period.start == at("2028-02-29")
    assert period.end == at(f"2028-03-{day}")


def test_a_period_is_half_open() -> None:
    period = BillingCalendar(UTC, 1).period_containing(at("2026-11-15"))
    assert at("2026-11-01") in period
    assert at("2026-12-01") - timedelta(microseconds=1) in period
    assert at("2026-12-01") not in period


def test_borders_are_local_midnights() -> None:
    period = BillingCalendar(ZURICH, 1).period_containing(at("2026-04-15"))
    assert period == Period(at("2026-03-31T22:00"), at("2026-04-30T22:00"))


def test_a_border_just_before_local_midnight_belongs_to_the_day_before() -> None:
    assert BillingCalendar.anchored_on(at("2026-03-31T21:59:59"), ZURICH).billing_day == 31
    assert BillingCalendar.anchored_on(at("2026-03-31T22:00:00"), ZURICH).billing_day == 1


def test_periods_follow_on_each_other_over_the_turn_of_the_year() -> None:
    calendar = BillingCalendar(ZURICH, 21)
    december = calendar.period_containing(at("2026-12-31T23:30"))
    assert calendar.period_containing(december.end - timedelta(microseconds=1)) == december
    assert calendar.period_after(december).start == december.end
    assert december.end.astimezone(ZURICH).isoformat() == "2027-01-21T00:00:00+01:00"


def test_a_midnight_that_the_clocks_skip_is_the_instant_of_the_change() -> None:
    # In 2026 Beirut's clocks go from 00:00 to 01:00 on 29 March.
    beirut = ZoneInfo("Asia/Beirut")
    period = BillingCalendar(beirut, 29).period_containing(at("2026-04-10"))
    assert period.start == at("2026-03-28T22:00")
    assert period.start.astimezone(beirut).isoformat() == "2026-03-29T01:00:00+03:00"
    assert BillingCalendar(beirut, 29).period_containing(period.start) == period


def test_a_midnight_that_is_shown_twice_is_the_first_one() -> None:
    # In 2026 Havana's clocks go from 01:00 back to 00:00 on 1 November.
    havana = ZoneInfo("America/Havana")
    period = BillingCalendar(havana, 1).period_containing(at("2026-11-15"))
    assert period.start == at("2026-11-01T04:00")


def test_the_first_period_runs_from_the_opening_to_the_first_border() -> None:
    opened_at = at("2026-11-21T15:30")
    assert first_period(opened_at, billing_day=21, zone=UTC) == Period(opened_at, at("2026-12-21"))
    assert first_period(opened_at, billing_day=1, zone=UTC) == Period(opened_at, at("2026-12-01"))
    assert first_period(opened_at, billing_day=22, zone=UTC) == Period(opened_at, at("2026-11-22"))


@pytest.mark.parametrize("day", [0, 32, -1])
def test_a_billing_day_is_a_day_of_the_month(day: int) -> None:
    with pytest.raises(InvalidFields) as error:
        BillingCalendar(UTC, day)
    assert error.value.problems[0].field == "billing_day"


def test_a_period_cannot_run_backwards() -> None:
    with pytest.raises(InvalidFields):
        Period(at("2026-11-02"), at("2026-11-01"))


def test_the_clock_on_the_wall_counts_24_hours_a_day() -> None:
    march = BillingCalendar(ZURICH, 1).period_containing(at("2026-03-15"))
    october = BillingCalendar(ZURICH, 1).period_containing(at("2026-10-15"))
    days_us = 24 * 3600 * 1_000_000
    assert march.wall_us(ZURICH) == 31 * days_us
    assert march.end - march.start == timedelta(days=31) - timedelta(hours=1)
    assert october.wall_us(ZURICH) == 31 * days_us
    assert october.end - october.start == timedelta(days=31) + timedelta(hours=1)


def test_the_wall_clock_stands_still_while_an_hour_is_shown_again() -> None:
    before, second_pass = at("2026-10-25T00:30"), at("2026-10-25T01:10")
    # 02:30 to 03:00 on the wall; then it shows 02:00 to 02:10 again, which have been counted.
    assert Period(before, second_pass).wall_us(ZURICH) == 30 * 60 * 1_000_000
    assert Period(second_pass, at("2026-10-25T02:00")).wall_us(ZURICH) == 0


def test_overlap() -> None:
    period = Period(at("2026-11-01"), at("2026-12-01"))
    assert period.overlap(at("2026-10-01"), None) == period
    assert period.overlap(at("2026-11-05"), at("2027-01-01")) == Period(at("2026-11-05"), at("2026-12-01"))
    assert period.overlap(at("2026-12-01"), None) is None
    assert period.overlap(at("2026-10-01"), at("2026-11-01")) is None

"""The rules of rating by worked examples, each held by the plain rater and by the compiled curve."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.curve import PriceCurve
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import Counting, Price, Weekday, Window
from billing_service.domain.rating import charge_call

ZURICH = ZoneInfo("Europe/Zurich")
USD = Currency.of("USD")
NIGHT = Window(None, 22 * 60, 6 * 60, Money(0))
MORNING = Window(None, 8 * 60, 12 * 60, Money.parse("0.05"))

COMPLETED = Price(
    Money.parse("0.09"), standing_charge=Money.parse("0.36"), counting=Counting.COMPLETED, windows=(NIGHT,)
)
STARTED = Price(Money.parse("0.10"), windows=(MORNING,))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def price_of(price: Price, start: datetime, end: datetime, zone: tzinfo = UTC) -> str:
    duration_us = (end - start) // timedelta(microseconds=1)
    plain = charge_call(price, answered_at=start, duration_us=duration_us, zone=zone).precise
    compiled = PriceCurve(price).price_call(answered_at=start, duration_us=duration_us, zone=zone)
    assert compiled == plain
    return plain.format_precise()


def test_completed_minutes_before_the_free_night() -> None:
    assert price_of(COMPLETED, at("2026-11-02T21:57:13"), at("2026-11-02T22:10:56")) == "0.540000"


def test_completed_minutes_of_a_call_that_lasts_more_than_a_day() -> None:
    assert price_of(COMPLETED, at("2026-11-02T21:57:13"), at("2026-11-03T22:10:56")) == "86.940000"


def test_started_minutes_into_a_cheaper_window() -> None:
    start, end = at("2026-11-02T07:00:00"), at("2026-11-02T08:29:20")
    assert price_of(STARTED, start, end) == "7.500000"
    pieces = charge_call(STARTED, answered_at=start, duration_us=5360 * 10**6, zone=UTC).pieces
    assert [(piece.charged_s // 60, piece.per_minute) for piece in pieces] == [
        (60, Money.parse("0.10")),
        (30, Money.parse("0.05")),
    ]


def test_a_started_increment_is_charged_whole_at_the_price_of_its_first_instant() -> None:
    assert price_of(STARTED, at("2026-11-02T07:59:59"), at("2026-11-02T08:00:01")) == "0.100000"
    assert price_of(STARTED, at("2026-11-02T07:59:59"), at("2026-11-02T08:01:00")) == "0.150000"
    assert price_of(STARTED, at("2026-11-02T08:00:00"), at("2026-11-02T08:00:01")) == "0.050000"


@pytest.mark.parametrize(
    ("seconds", "price"),
    [(0, "0.000000"), (0.000001, "0.100000"), (60, "0.100000"), (60.000001, "0.200000"), (120, "0.200000")],
)
def test_an_increment_is_started_by_its_first_microsecond(seconds: float, price: str) -> None:
    start = at("2026-11-02T20:00:00.5")
    assert price_of(Price(Money.parse("0.10")), start, start + timedelta(seconds=seconds)) == price


@pytest.mark.parametrize(
    ("seconds", "price"), [(0, "0.360000"), (59.999999, "0.360000"), (60, "0.450000"), (119, "0.450000")]
)
def test_the_standing_charge_is_due_even_when_no_increment_is_completed(seconds: float, price: str) -> None:
    start = at("2026-11-02T10:00:00")
    assert price_of(COMPLETED, start, start + timedelta(seconds=seconds)) == price


def test_each_piece_counts_its_own_completed_minutes() -> None:
    # 90 s before six o'clock are free; of 90 s after it one minute is completed.
    assert price_of(COMPLETED, at("2026-11-02T05:58:30"), at("2026-11-02T06:01:30")) == "0.450000"
    # 30 s on either side of a border complete no minute, though the call lasted one.
    assert price_of(COMPLETED, at("2026-11-02T21:59:30"), at("2026-11-02T22:00:30")) == "0.360000"


@pytest.mark.parametrize(
    ("seconds", "charged_s"), [(1, 30), (30, 30), (31, 36), (36, 36), (37, 42), (60, 60), (61, 66)]
)
def test_started_counting_with_a_longer_initial_increment(seconds: int, charged_s: int) -> None:
    price = Price(Money.parse("0.60"), initial_increment_s=30, next_increment_s=6)
    start = at("2026-11-02T10:00:00")
    assert (
        Money.parse(price_of(price, start, start + timedelta(seconds=seconds))).micros == charged_s * 10_000
    )


@pytest.mark.parametrize(("seconds", "charged_s"), [(29, 0), (30, 30), (35, 30), (36, 36), (47, 42)])
def test_completed_counting_with_a_longer_initial_increment(seconds: int, charged_s: int) -> None:
    price = Price(
        Money.parse("0.60"), initial_increment_s=30, next_increment_s=6, counting=Counting.COMPLETED
    )
    start = at("2026-11-02T10:00:00")
    assert (
        Money.parse(price_of(price, start, start + timedelta(seconds=seconds))).micros == charged_s * 10_000
    )


def test_a_single_day_has_its_own_price() -> None:
    sunday = Window(Weekday.SUNDAY, 0, 0, Money.parse("0.01"))
    price = Price(Money.parse("0.10"), windows=(MORNING, sunday))
    # 8 November 2026 is a Sunday: two minutes before its midnight, two after.
    assert price_of(price, at("2026-11-07T23:58:00"), at("2026-11-08T00:02:00")) == "0.220000"
    assert price_of(price, at("2026-11-08T10:00:00"), at("2026-11-08T10:01:00")) == "0.010000"
    assert price_of(price, at("2026-11-09T10:00:00"), at("2026-11-09T10:01:00")) == "0.050000"


def test_windows_are_local_time() -> None:
    # 07:30 UTC is 08:30 in Zurich in winter.
    start, end = at("2026-11-02T07:30:00"), at("2026-11-02T07:31:00")
    assert price_of(STARTED, start, end, ZURICH) == "0.050000"
    assert price_of(STARTED, start, end, UTC) == "0.100000"


def test_an_hour_that_the_clocks_skip_is_not_charged() -> None:
    # 29 March 2026, 01:30 to 03:30 on the wall in Zurich is one hour of real time.
    start = datetime(2026, 3, 29, 1, 30, tzinfo=ZURICH).astimezone(UTC)
    end = datetime(2026, 3, 29, 3, 30, tzinfo=ZURICH).astimezone(UTC)
    assert price_of(Price(Money.parse("0.10")), start, end, ZURICH) == "6.000000"


def test_an_hour_that_is_shown_twice_is_charged_twice_and_its_windows_hold_twice() -> None:
    # 25 October 2026, 01:30 to 03:30 on the wall in Zurich are three hours of real time.
    start = datetime(2026, 10, 25, 1, 30, tzinfo=ZURICH).astimezone(UTC)
    end = datetime(2026, 10, 25, 3, 30, tzinfo=ZURICH).astimezone(UTC)
    half_past_two = Window(None, 2 * 60 + 30, 3 * 60, Money(0))
    assert price_of(Price(Money.parse("0.10")), start, end, ZURICH) == "18.000000"
    assert price_of(Price(Money.parse("0.10"), windows=(half_past_two,)), start, end, ZURICH) == "12.000000"


def test_a_clock_change_inside_a_window_cuts_no_piece() -> None:
    night = Window(None, 0, 6 * 60, Money.parse("0.03"))
    price = Price(Money.parse("0.10"), counting=Counting.COMPLETED, windows=(night,))
    start = datetime(2026, 3, 29, 1, 59, 30, tzinfo=ZURICH).astimezone(UTC)
    # One minute of real time around the change; cut in two, neither half would complete a minute.
    assert price_of(price, start, start + timedelta(minutes=1), ZURICH) == "0.030000"


def test_a_fraction_of_a_micro_unit_is_cut_so_that_rounding_happens_once() -> None:
    # One second at 0.299999 a minute is 0.00499998…: less than half a cent, however it is written.
    price = Price(Money.parse("0.299999"), initial_increment_s=1, next_increment_s=1)
    charge = charge_call(price, answered_at=at("2026-11-02T10:00:00"), duration_us=1, zone=UTC)
    assert charge.precise == Money(4_999)
    assert charge.precise.rounded(USD) == Money(0)


def test_a_call_of_a_month_is_priced_to_the_minute() -> None:
    start = at("2026-11-01T00:00:00")
    # 30 days: 24 h − 4 h at 0.10 and 4 h at 0.05.
    assert price_of(STARTED, start, start + timedelta(days=30)) == "3960.000000"

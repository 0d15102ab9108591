"""How money, instants and durations look."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from admin_web.formatting import Formats

ZURICH = Formats(ZoneInfo("Europe/Zurich"), "CHF")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.00", "0.00"),
        ("12.50", "12.50"),
        ("1234567.89", "1,234,567.89"),
        ("-12.50", "−12.50"),
        ("5", "5"),
        ("0.000001", "0.000001"),
        ("99999999999999.99", "99,999,999,999,999.99"),
    ],
)
def test_amounts_keep_their_decimals_and_group_thousands(amount: str, shown: str) -> None:
    assert ZURICH.amount(Decimal(amount)) == shown


def test_money_names_its_currency_on_the_same_line() -> None:
    assert ZURICH.money(Decimal("1.20")) == "1.20\u00a0CHF"


def test_money_without_a_known_currency_is_a_bare_amount() -> None:
    assert Formats(ZoneInfo("UTC"), "").money(Decimal("1.20")) == "1.20"


@pytest.mark.parametrize(
    ("amount", "rounded", "shown"),
    [
        ("0.540000", "0.54", "0.54"),
        ("0.123456", "0.12", "0.123456"),
        ("5.000000", "5.00", "5.00"),
        ("7", "7.00", "7.00"),
        ("3000.000000", "3000", "3,000"),
        ("12.500000", "13", "12.5"),
        ("1.200000", "1.200", "1.200"),
    ],
)
def test_a_precise_amount_drops_zeros_that_say_nothing(amount: str, rounded: str, shown: str) -> None:
    assert ZURICH.precise(Decimal(amount), rounded=Decimal(rounded)) == shown


def test_what_is_not_known_is_a_dash() -> None:
    assert {
        ZURICH.amount(None),
        ZURICH.money(None),
        ZURICH.precise(None, rounded=None),
        ZURICH.instant(None),
        ZURICH.short_instant(None),
        ZURICH.time_of_day(None),
        ZURICH.local_date(None),
        ZURICH.day(None),
        ZURICH.duration(None),
        ZURICH.count(None),
    } == {"–"}


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(2026, 11, 21, 20, 0, tzinfo=UTC), "2026-11-21 21:00:00 CET"),
        (datetime(2026, 7, 1, 20, 0, tzinfo=UTC), "2026-07-01 22:00:00 CEST"),
        # The hour that comes twice is told apart by its zone.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "2026-10-25 02:30:00 CEST"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25 02:30:00 CET"),
    ],
)
def test_instants_are_shown_in_billing_time_with_the_zone(at: datetime, shown: str) -> None:
    assert ZURICH.instant(at) == shown


@pytest.mark.parametrize(
    ("microseconds", "shown"),
    [
        (0, "0:00:00"),
        (999_999, "0:00:00"),
        (65_000_000, "0:01:05"),
        (3_600_000_000, "1:00:00"),
        (108_000_000_000, "30:00:00"),
    ],
)
def test_durations_are_hours_minutes_seconds(microseconds: int, shown: str) -> None:
    assert ZURICH.duration(microseconds) == shown


def test_elapsed_time_is_never_negative() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, 2, 3, tzinfo=UTC)
    assert ZURICH.elapsed(early, late) == "1:02:03"
    assert ZURICH.elapsed(late, early) == "0:00:00"


def test_the_last_day_of_a_period_is_the_day_before_its_end() -> None:
    midnight = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)  # 1 December, 00:00 in Zurich
    assert ZURICH.last_day(midnight) == "2026-11-30"
    assert ZURICH.local_date(midnight) == "2026-12-01"


def test_today_is_today_in_the_billing_zone() -> None:
    assert ZURICH.today(datetime(2026, 11, 30, 23, 30, tzinfo=UTC)) == date(2026, 12, 1)


def test_local_time_in_a_form_becomes_an_instant() -> None:
    assert ZURICH.parse_local("2026-07-01T22:00") == datetime(2026, 7, 1, 20, 0, tzinfo=UTC)
    assert ZURICH.parse_local("  ") is None
    assert ZURICH.iso(ZURICH.parse_local("2026-07-01T22:00:30")) == "2026-07-01T20:00:30.000Z"


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00", "0001-01-01T00:00", "9" * 40])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ZURICH.parse_local(text)

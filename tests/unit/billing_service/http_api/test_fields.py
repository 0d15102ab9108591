"""The fields of requests: what is read, what is refused, how answers write it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_service.domain.money import Currency
from billing_service.http_api.fields import (
    format_instant,
    format_money,
    format_optional_instant,
    format_precise,
    parse_instant,
)

instants = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 (Hypothesis adds the zone)
    max_value=datetime(2199, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T20:00:00Z", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        ("2026-11-21t20:00:00z", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        ("2026-11-21T20:00:00.5Z", datetime(2026, 11, 21, 20, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-21T20:00:00.123456Z", datetime(2026, 11, 21, 20, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-21T20:00:00+02:00", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("2024-02-29T23:59:59-12:00", datetime(2024, 3, 1, 11, 59, 59, tzinfo=UTC)),
    ],
)
def test_instants_are_read_as_rfc_3339_writes_them(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T20:00:00",
        "2026-11-21 20:00:00Z",
        "2026-11-21T20:00Z",
        "2026-11-21T20:00:00,5Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T20:60:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-21T20:00:00+25:00",
        "20261121T200000Z",
        "2026-W47-6T20:00:00Z",
        "２０２６-11-21T20:00:00Z",
        "2026-11-21T20:00:00Z\n",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        None,
        1795291200,
        1795291200.5,
        datetime(2026, 11, 21, tzinfo=UTC),
    ],
)
def test_anything_else_is_no_instant(text: object) -> None:
    with pytest.raises(ValueError, match=r"instant"):
        parse_instant(text)


@given(st.text(max_size=40))
def test_no_text_does_harm(text: str) -> None:
    try:
        assert parse_instant(text).tzinfo is UTC
    except ValueError as refused:
        assert "instant" in str(refused)  # noqa: PT017 - some texts are instants


@given(instants, st.integers(-14 * 60, 14 * 60))
def test_what_is_written_is_read_again(instant: datetime, offset_min: int) -> None:
    shown = instant.astimezone(timezone(timedelta(minutes=offset_min)))
    assert format_instant(shown) == format_instant(instant)
    assert parse_instant(format_instant(instant)) == instant
    assert parse_instant(shown.isoformat(timespec="microseconds")) == instant


def test_no_instant_is_null() -> None:
    assert format_optional_instant(None) is None


@pytest.mark.parametrize(
    ("amount", "precise", "rounded"),
    [
        ("0", "0.000000", "0.00"),
        ("0.540000", "0.540000", "0.54"),
        ("0.125", "0.125000", "0.13"),
        ("-12.5", "-12.500000", "-12.50"),
        ("999999999999.999999", "999999999999.999999", "1000000000000.00"),
    ],
)
def test_money_is_written_exactly(amount: str, precise: str, rounded: str) -> None:
    assert format_precise(Decimal(amount)) == precise
    assert format_money(Decimal(amount), Currency.of("USD")) == rounded


def test_money_has_the_decimal_places_of_its_currency() -> None:
    assert format_money(Decimal("12.5"), Currency.of("JPY")) == "13"
    assert format_money(Decimal("12.5"), Currency.of("KWD")) == "12.500"

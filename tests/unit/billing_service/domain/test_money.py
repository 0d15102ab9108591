from decimal import Decimal

import pytest

from billing_service.domain.money import Currency, InvalidMoney, Money, total

USD = Currency.of("USD")


def test_an_amount_keeps_six_decimal_places_exactly() -> None:
    assert Money.parse("0.123456").micros == 123_456
    assert Money.parse("0.123456").to_decimal() == Decimal("0.123456")
    assert Money.parse("999999999999.999999").format_precise() == "999999999999.999999"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "Infinity",
        "-Infinity",
        "sNaN",
        "1.2.3",
        "0x10",
        "1_000",
        "٣",
        "1e400",
        "0.0000001",
        "1e12",
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidMoney):
        Money.parse(text)


def test_a_sum_may_be_larger_than_any_stored_amount() -> None:
    largest = Decimal("999999999999.999999")
    assert Money.from_decimal(1_000 * largest).format_precise() == "999999999999999.999000"
    assert Money.from_decimal(-1_000 * largest).format(USD) == "-1000000000000000.00"
    for amount in ("NaN", "Infinity", "0.0000001"):
        with pytest.raises(InvalidMoney):
            Money.from_decimal(Decimal(amount))


def test_zero_is_zero_however_it_is_written() -> None:
    assert Money.parse("0e400") == Money.parse("-0") == Money(0)


def test_trailing_zeros_beyond_six_places_are_no_harm() -> None:
    assert Money.parse("0.10000000000") == Money(100_000)


@pytest.mark.parametrize(
    ("precise", "rounded"),
    [
        ("0.004999", "0.00"),
        ("0.005", "0.01"),
        ("0.015", "0.02"),
        ("0.025", "0.03"),
        ("-0.005", "-0.01"),
        ("2", "2.00"),
    ],
)
def test_rounding_is_half_up_to_the_minor_unit(precise: str, rounded: str) -> None:
    assert Money.parse(precise).rounded(USD) == Money.parse(rounded)
    assert Money.parse(precise).format(USD) == rounded


@pytest.mark.parametrize(
    ("code", "shown"), [("JPY", "13"), ("USD", "12.50"), ("KWD", "12.500"), ("CLF", "12.5000")]
)
def test_a_currency_has_its_own_minor_unit(code: str, shown: str) -> None:
    assert Money.parse("12.5").format(Currency.of(code)) == shown
    assert Money.parse("12.5").rounded(Currency.of(code)) == Money.parse(shown)


@pytest.mark.parametrize("code", ["usd", "US", "DOLLAR", "U1D", "€€€", ""])
def test_what_is_no_currency_code_is_refused(code: str) -> None:
    with pytest.raises(InvalidMoney):
        Currency.of(code)


def test_amounts_add_up_without_drift() -> None:
    assert total([Money.parse("0.1")] * 1000) == Money.parse("100")
    assert total([]) == Money(0)
    assert Money.parse("0.3") - Money.parse("0.1") - Money.parse("0.2") == Money(0)

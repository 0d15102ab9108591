from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from billing_service.bill_rendering.wording import Wording, isolated, locale_of, span_length, talk_length
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import Weekday, Window


def wording(locale: str = "en_GB", currency: str = "USD", zone: str = "Europe/Zurich") -> Wording:
    return Wording(Locale.parse(locale), Currency.of(currency), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("locale", "currency", "amount", "shown"),
    [
        ("en", "USD", "1234.5", "$1,234.50"),
        ("en", "USD", "-12", "-$12.00"),
        ("de_CH", "CHF", "1234.5", "CHF\xa01’234.50"),
        ("fr_FR", "EUR", "1234.5", "1\u202f234,50\xa0€"),
        ("ja", "JPY", "1234", "￥1,234"),
        ("en", "KWD", "1.234", "KWD1.234"),
    ],
)
def test_amounts_are_written_as_the_locale_writes_the_currency(
    locale: str, currency: str, amount: str, shown: str
) -> None:
    assert wording(locale, currency).money(Money.parse(amount)) == shown


def test_a_price_shows_what_is_finer_than_the_minor_unit_and_an_amount_never_does() -> None:
    say = wording("en")
    assert (say.price(Money.parse("0.125")), say.price(Money.parse("0.1"))) == ("$0.125", "$0.10")
    assert say.money(Money.parse("0.125")) == "$0.13"
    yen = wording("ja", "JPY")
    assert (yen.price(Money.parse("12.5")), yen.price(Money.parse("12"))) == ("￥12.5", "￥12")


def test_amounts_too_large_for_a_binary_fraction_stay_exact() -> None:
    assert wording("en").money(Money.parse("123456789012.34")) == "$123,456,789,012.34"


def test_days_are_those_of_the_billing_zone() -> None:
    start, end = datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert wording().days(start, end) == "1–30 Nov 2026"
    assert wording("de").days(start, end) == "1.–30. Nov. 2026"
    assert wording().day(start) == "1 November 2026"
    assert wording("fr").date(date(2026, 11, 21)) == "21 novembre 2026"
    assert wording().time(datetime(2026, 11, 21, 20, 1, 4, tzinfo=UTC)) == "21:01:04"


def test_a_window_is_named_by_its_day_and_times() -> None:
    every_day, friday = Window(None, 1320, 360, Money(0)), Window(Weekday.FRIDAY, 0, 0, Money(0))
    assert wording().window(every_day) == "every day 22:00–06:00"
    assert wording("de").window(friday) == "Freitag 00:00–00:00"
    assert wording().window(None) == ""


def test_what_is_written_from_right_to_left_turns_nothing_around_it() -> None:
    assert isolated("Alice") == "Alice"
    assert isolated("שלום") == "\u2068שלום\u2069"
    assert isolated("\u202eevil") == "\u2068\u202eevil\u2069"
    assert wording("ar").money(Money.parse("1.5")).startswith("\u2068")


@pytest.mark.parametrize(
    ("name", "known"),
    [("en", True), ("de-CH", True), ("zh_Hans_CN", True), ("xx", False), ("", False), ("../../etc", False)],
)
def test_only_locales_that_exist_are_locales(name: str, known: bool) -> None:
    assert (locale_of(name) is not None) == known


def test_lengths_are_written_without_what_is_nothing() -> None:
    assert [talk_length(s * 1_000_000) for s in (0, 59, 61, 3661, 144_000)] == [
        "0:00",
        "0:59",
        "1:01",
        "1:01:01",
        "40:00:00",
    ]
    hour = 3_600_000_000
    assert [span_length(us) for us in (0, hour, 29 * 24 * hour + 4 * hour, 24 * hour + 60_000_000)] == [
        "0 min",
        "1 h",
        "29 d 4 h",
        "1 d 1 min",
    ]

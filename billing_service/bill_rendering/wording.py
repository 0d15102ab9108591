"""Amounts, dates and lengths in words, by the customs of a locale (Unicode CLDR)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval, format_time, get_day_names
from babel.numbers import format_currency, format_decimal

from billing_service.bill_rendering.labels import labels_of
from billing_service.bill_rendering.labels.label import Labels
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import Window
from billing_service.domain.plan_document import format_time_of_day

_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US
_HOUR_US = 3_600 * _SECOND_US


# Characters that turn the direction of writing, or could turn that of the text after them.
_TURNING = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI"})
_ISOLATE, _END_OF_ISOLATE = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def isolated(text: str) -> str:
    """A text that stands inside another one, kept from turning what is around it (UAX #9, isolates)."""
    if any(unicodedata.bidirectional(character) in _TURNING for character in text):
        return f"{_ISOLATE}{text}{_END_OF_ISOLATE}"
    return text


@lru_cache(maxsize=1000)
def locale_of(name: str) -> Locale | None:
    """The locale of a name such as `en`, `de_CH` or `zh-Hans-CN`; None when there is no such locale."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Wording:
    """How one bill writes its amounts, dates and lengths."""

    locale: Locale
    currency: Currency
    zone: tzinfo

    @property
    def labels(self) -> Labels:
        """The labels of the locale's language."""
        return labels_of(self.locale)

    def money(self, amount: Money) -> str:
        """An amount that is paid, with the decimals of the minor unit."""
        return isolated(
            format_currency(
                amount.rounded(self.currency).to_decimal(),
                self.currency.code,
                format=self._pattern(self.currency.minor_digits),
                locale=self.locale,
                currency_digits=False,
            )
        )

    def price(self, amount: Money) -> str:
        """A price, which may be finer than the minor unit."""
        fraction = f"{amount.to_decimal():f}".partition(".")[2].rstrip("0")
        return isolated(
            format_currency(
                amount.to_decimal(),
                self.currency.code,
                format=self._pattern(max(self.currency.minor_digits, len(fraction))),
                locale=self.locale,
                currency_digits=False,
            )
        )

    def _pattern(self, digits: int) -> str:
        # The locale's own pattern, with the decimals that the amount needs.
        pattern = self.locale.currency_formats["standard"].pattern
        return str(pattern).replace("0.00", "0." + "0" * digits if digits else "0")

    def day(self, instant: datetime) -> str:
        """`21 November 2026`."""
        return self.date(instant.astimezone(self.zone).date())

    def date(self, day: date) -> str:
        """`21 November 2026`."""
        return isolated(format_date(day, "long", locale=self.locale))

    def short_day(self, instant: datetime) -> str:
        """`21 Nov 2026`."""
        return isolated(format_date(instant.astimezone(self.zone).date(), "medium", locale=self.locale))

    def time(self, instant: datetime) -> str:
        """`20:10:04`."""
        return isolated(format_time(instant.astimezone(self.zone).time(), "medium", locale=self.locale))

    def days(self, start: datetime, end: datetime) -> str:
        """`1–30 Nov 2026`: the first and the last local day of `[start, end)`."""
        first = start.astimezone(self.zone).date()
        last = (end - timedelta(microseconds=1)).astimezone(self.zone).date()
        return isolated(format_interval(first, last, "yMMMd", locale=self.locale))

    def count(self, number: int) -> str:
        """`1,234`."""
        return isolated(format_decimal(number, locale=self.locale))

    def percent(self, percent: str) -> str:
        """`8.1 %`, of a percentage as the API writes it."""
        return isolated(f"{format_decimal(Decimal(percent), '#,##0.####', locale=self.locale)} %")

    def span(self, length_us: int) -> str:
        """`29 d 4 h`: see `span_length`."""
        return span_length(length_us, day_unit=self.labels.day_unit)

    def weekday(self, window: Window) -> str:
        """The window's day of the week, `every day` when it has none."""
        if window.weekday is None:
            return self.labels.every_day
        names = get_day_names("wide", locale=self.locale)
        return isolated(names[_WEEKDAYS.index(window.weekday.value)])

    def window(self, window: Window | None) -> str:
        """`every day 22:00–06:00`; the normal price has no window."""
        if window is None:
            return ""
        span = f"{format_time_of_day(window.from_minute)}–{format_time_of_day(window.to_minute)}"
        return f"{self.weekday(window)} {span}"


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def talk_length(duration_us: int) -> str:
    """`1:02:03` hours, minutes and seconds, a begun second not counted."""
    minutes, seconds = divmod(duration_us // _SECOND_US, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def span_length(length_us: int, *, day_unit: str = "d") -> str:
    """`29 d 4 h`: how long a fee was charged, cut to whole minutes and without empty parts."""
    days, rest = divmod(length_us, _DAY_US)
    hours, rest = divmod(rest, _HOUR_US)
    minutes = rest // (60 * _SECOND_US)
    parts = [f"{count} {unit}" for count, unit in ((days, day_unit), (hours, "h"), (minutes, "min")) if count]
    return " ".join(parts) or "0 min"

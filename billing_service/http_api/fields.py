"""The kinds of fields that requests have, and how answers write values."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from billing_service.bill_rendering.wording import locale_of
from billing_service.domain.money import Currency, Money
from billing_service.domain.phone_number import check_filter_pattern, check_number, check_number_pattern

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
# The same for the document, as JavaScript and JSON Schema write patterns; years without sense left out.
_INSTANT_PATTERN = (
    r"^(19[7-9]|20[0-9]|21[0-9])[0-9]-[0-9]{2}-[0-9]{2}"
    r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TURNS_TEXT = re.compile("[\u202a-\u202e\u2066-\u2069]")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def parse_instant(text: object) -> datetime:
    """Read an RFC 3339 instant, to the microsecond; raise ValueError for anything else or absurd years."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ValueError("an instant is written like 2026-11-21T20:00:00.000000Z")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such instant") from error
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("an instant is between the years 1970 and 2199")
    return instant


def format_instant(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC with microseconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_optional_instant(instant: datetime | None) -> str | None:
    """Write an instant, or null."""
    return None if instant is None else format_instant(instant)


def parse_day(text: object) -> date:
    """Read a date, `YYYY-MM-DD`; raise ValueError for anything else or absurd years."""
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError("a date is written like 2026-11-21")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error
    if not _EARLIEST.date() <= day < _LATEST.date():
        raise ValueError("a date is between the years 1970 and 2199")
    return day


def parse_plain_decimal(text: object) -> Decimal:
    """Read a decimal number in quotes, such as `"8.1"`; raise ValueError for anything else."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise ValueError('it is a decimal number in quotes, such as "8.1"')
    return Decimal(text)


def format_date(day: date) -> str:
    """Write a date as `YYYY-MM-DD`."""
    return day.isoformat()


def format_money(amount: Decimal, currency: Currency) -> str:
    """Write an amount rounded to the currency's minor unit."""
    return Money.from_decimal(amount).format(currency)


def format_precise(amount: Decimal) -> str:
    """Write an amount with all its six places."""
    return Money.from_decimal(amount).format_precise()


def _parse_integer(value: object) -> object:
    # Queries are texts; Python would also read "١" or "1_0".
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    return value


def _parse_boolean(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _parse_money(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('an amount is a decimal number in quotes, such as "12.50"')
    return Money.parse(value)


def _without_control_characters(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return _written_as_read(text)


def _written_as_read(text: str) -> str:
    # A bill that prints such a name would show it backwards; marks (U+200E, U+200F) turn nothing round.
    if _TURNS_TEXT.search(text):
        raise ValueError(
            "characters that turn text round (U+202A to U+202E, U+2066 to U+2069) are not allowed"
        )
    return text


def _known_locale(name: str) -> str:
    if locale_of(name) is None:
        raise ValueError("a locale is named like en, de_CH or zh-Hans-CN; there is no such one")
    return name


def _schema(**keywords: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **keywords}, mode="validation")


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    _schema(
        format="date-time",
        pattern=_INSTANT_PATTERN,
        examples=["2026-11-21T20:00:00.000000Z"],
        description="RFC 3339, in the years 1970 to 2199",
    ),
]
Day = Annotated[
    date,
    BeforeValidator(parse_day),
    _schema(type="string", format="date", examples=["2026-11-21"]),
]
Amount = Annotated[
    Money,
    BeforeValidator(_parse_money),
    _schema(pattern=r"^[0-9]{1,10}(\.[0-9]{1,6})?$", examples=["12.50"]),
]
MovedAmount = Annotated[
    Money,
    BeforeValidator(_parse_money),
    _schema(pattern=r"^[0-9]{1,10}(\.[0-9]{1,6})?$", examples=["12.50"], description="more than zero"),
]
"""Money that changes hands; `take_money.check_amount` says what of it can."""
QueryInteger = Annotated[int, BeforeValidator(_parse_integer)]
QueryBoolean = Annotated[bool, BeforeValidator(_parse_boolean)]
Identifier = Annotated[int, Field(ge=1, le=2**63 - 1)]
QueryIdentifier = Annotated[Identifier, BeforeValidator(_parse_integer)]
Number = Annotated[str, AfterValidator(check_number), _schema(pattern="^[0-9]{1,15}$", examples=["0001"])]
NumberPattern = Annotated[
    str, AfterValidator(check_number_pattern), _schema(pattern="^[0-9#]{1,15}$", examples=["55##"])
]
BillNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{6,9}$")]
FilterPattern = Annotated[
    str, AfterValidator(check_filter_pattern), _schema(pattern=r"^(?=.)[0-9#]{0,15}\*?$", examples=["9#*"])
]
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_without_control_characters),
]
OptionalLine = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_without_control_characters)
]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(_written_as_read)
]
LocaleName = Annotated[
    str,
    StringConstraints(max_length=30, pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$"),
    AfterValidator(_known_locale),
]
SearchText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]

JsonObject = dict[str, Any]

"""Prices and tariffs as JSON documents, in the shape of `docs/api/billing.md`: stored so, sent so.

Reading trusts the document's shape (the API's schemas check that) and names every field whose value makes no
sense.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Tariff, Weekday, Window

Value = TypeVar("Value")

Document = Mapping[str, Any]

STORED_PLACES: Final = 2
"""The decimal places that prices have at least in stored documents, in whatever currency."""
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_NO_WINDOW: Final[Sequence[Document]] = ()


def price_from_document(document: Document) -> Price:
    """The price that a document describes.

    Raises:
        InvalidFields: naming every wrong field, with its path from the document's top.
    """
    problems: list[FieldProblem] = []
    windows = [
        _collect(problems, f"windows[{index}]", _window_from_document, window)
        for index, window in enumerate(document.get("windows", _NO_WINDOW))
    ]
    per_minute = _collect(problems, "per_minute", _money, document["per_minute"])
    standing_charge = _collect(problems, "standing_charge", _money, document.get("standing_charge", "0"))
    counting = _collect(problems, "counting", Counting, document.get("counting", "started"))
    if per_minute is None or standing_charge is None or counting is None or None in windows:
        raise InvalidFields(problems)
    return Price(
        per_minute=per_minute,
        standing_charge=standing_charge,
        initial_increment_s=document.get("initial_increment_s", 60),
        next_increment_s=document.get("next_increment_s", 60),
        counting=counting,
        windows=tuple(window for window in windows if window is not None),
    )


def price_to_document(price: Price, *, places: int = STORED_PLACES) -> dict[str, Any]:
    """The document of a price, complete: no field is left to its default. For `places` see `format_price`."""
    return {
        "standing_charge": format_price(price.standing_charge, places=places),
        "per_minute": format_price(price.per_minute, places=places),
        "initial_increment_s": price.initial_increment_s,
        "next_increment_s": price.next_increment_s,
        "counting": price.counting.value,
        "windows": [
            {
                "weekday": None if window.weekday is None else window.weekday.value,
                "from": format_time_of_day(window.from_minute),
                "to": format_time_of_day(window.to_minute),
                "per_minute": format_price(window.per_minute, places=places),
            }
            for window in price.windows
        ],
    }


def tariff_from_document(document: Document) -> Tariff:
    """The tariff that a document describes; instants as RFC 3339 text, datetimes or null.

    Raises:
        InvalidFields: naming every wrong field, with its path from the document's top.
    """
    problems: list[FieldProblem] = []
    price = _collect(problems, "price", price_from_document, document["price"])
    if price is None:
        raise InvalidFields(problems)
    return Tariff(
        price=price,
        destination_prefix=document.get("destination_prefix", ""),
        source_prefix=document.get("source_prefix", ""),
        valid_from=_instant(document.get("valid_from")),
        valid_to=_instant(document.get("valid_to")),
        description=document.get("description", ""),
    )


def tariff_to_document(tariff: Tariff) -> dict[str, Any]:
    """The document of a tariff, complete."""
    return {
        "source_prefix": tariff.source_prefix,
        "destination_prefix": tariff.destination_prefix,
        "valid_from": _format_instant(tariff.valid_from),
        "valid_to": _format_instant(tariff.valid_to),
        "description": tariff.description,
        "price": price_to_document(tariff.price),
    }


def parse_time_of_day(text: str) -> int:
    """Minutes after midnight of `HH:MM`.

    Raises:
        ValueError: it is anything else.
    """
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise ValueError("a time of day is 00:00 to 23:59")
    return int(match[1]) * 60 + int(match[2])


def format_time_of_day(minute: int) -> str:
    """`HH:MM` of a minute of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def format_price(amount: Money, *, places: int = STORED_PLACES) -> str:
    """At least so many decimal places, and as many of the six as the price has: `0.09`, `0.125`.

    To be read by people, `places` is that of the currency's minor unit: `3000` yen.
    """
    whole, _, fraction = amount.format_precise().partition(".")
    shown = fraction.rstrip("0").ljust(places, "0")
    return f"{whole}.{shown}" if shown else whole


def _window_from_document(document: Document) -> Window:
    problems: list[FieldProblem] = []
    weekday = document.get("weekday")
    day = None if weekday is None else _collect(problems, "weekday", Weekday, weekday)
    from_minute = _collect(problems, "from", parse_time_of_day, document["from"])
    to_minute = _collect(problems, "to", parse_time_of_day, document["to"])
    per_minute = _collect(problems, "per_minute", _money, document["per_minute"])
    if problems or from_minute is None or to_minute is None or per_minute is None:
        raise InvalidFields(problems)
    return Window(day, from_minute, to_minute, per_minute)


def _collect(
    problems: list[FieldProblem], field: str, read: Callable[[Any], Value], value: Any
) -> Value | None:
    """What `read` makes of a value; None, with the problems noted under `field`, when it refuses."""
    try:
        return read(value)
    except InvalidFields as error:
        problems += [problem.under(field) for problem in error.problems]
    except ValueError as error:
        problems.append(FieldProblem(field, str(error)))
    return None


def _money(value: str | Decimal) -> Money:
    return Money.from_decimal(value) if isinstance(value, Decimal) else Money.parse(value)


def _instant(value: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _format_instant(instant: datetime | None) -> str | None:
    return (
        None
        if instant is None
        else instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )

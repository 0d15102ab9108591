"""Exact money: whole micro-units of a currency inside, `Decimal` at the edges, rounded once, half-up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Final, Self

from billing_service.domain.errors import DomainError

MICROS_PER_UNIT: Final = 1_000_000
_MICRO_EXPONENT: Final = -6
# numeric(18,6) in the database holds twelve digits before the point.
_DIGITS_BEFORE_POINT: Final = 12
LARGEST_MICROS: Final = 10**18 - 1
_EXACT: Final = Context(prec=60)

# ISO 4217 minor units that differ from two decimal places.
MINOR_UNIT_DIGITS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
        ),
        0,
    ),
    **dict.fromkeys(("XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


class InvalidMoney(DomainError, ValueError):
    """An amount that is not a number, has more than six decimal places, or is too large to store."""


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its ISO 4217 code, with the number of decimal places of its minor unit."""

    code: str
    minor_digits: int

    @classmethod
    def of(cls, code: str) -> Self:
        """The currency of a three-letter code.

        Raises:
            InvalidMoney: the code is not three capital letters.
        """
        if len(code) != 3 or not code.isascii() or not code.isalpha() or not code.isupper():
            raise InvalidMoney(f"a currency is three capital letters such as USD, not {code!r}")
        return cls(code, MINOR_UNIT_DIGITS.get(code, 2))

    @property
    def minor_unit_micros(self) -> int:
        """Micro-units in the smallest amount that can be paid: 10,000 for a cent."""
        minor_units: int = 10**self.minor_digits
        return MICROS_PER_UNIT // minor_units


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount in micro-units. One currency per installation, so the amount doesn't carry it."""

    micros: int

    @classmethod
    def from_decimal(cls, amount: Decimal) -> Self:
        """The same amount, exactly: a stored one or a sum of them, which may be larger than any stored.

        Raises:
            InvalidMoney: not finite, or more than six decimal places.
        """
        if not amount.is_finite():
            raise InvalidMoney("an amount of money must be a finite number")
        micros = amount.scaleb(-_MICRO_EXPONENT, _EXACT)
        if micros != micros.to_integral_value():
            raise InvalidMoney("an amount of money has at most six decimal places")
        return cls(int(micros))

    @classmethod
    def parse(cls, text: str) -> Self:
        """An amount as written in the REST API and in forms, such as `"12.50"`.

        Raises:
            InvalidMoney: as `from_decimal`, more than twelve digits before the point, which is more than can
                be stored, or the text is not a plain decimal number.
        """
        if not text.isascii() or "_" in text:
            raise InvalidMoney(f"{text!r} is not an amount of money")
        try:
            amount = Decimal(text.strip())
        except InvalidOperation:
            raise InvalidMoney(f"{text!r} is not an amount of money") from None
        if amount.is_finite() and amount and amount.adjusted() >= _DIGITS_BEFORE_POINT:
            raise InvalidMoney("an amount of money has at most twelve digits before the point")
        return cls.from_decimal(amount)

    def to_decimal(self) -> Decimal:
        """The amount with six decimal places."""
        return Decimal(self.micros).scaleb(_MICRO_EXPONENT, _EXACT)

    def format_precise(self) -> str:
        """`0.123456`: all six places, as the REST API shows precise amounts."""
        return _written(self.micros, 6)

    def format(self, currency: Currency) -> str:
        """`12.50`: rounded to the currency's minor unit."""
        unit = currency.minor_unit_micros
        units = (abs(self.micros) + unit // 2) // unit
        return _written(units if self.micros >= 0 else -units, currency.minor_digits)

    def rounded(self, currency: Currency) -> Money:
        """The nearest amount that can be paid; a half goes away from zero (half-up)."""
        unit = currency.minor_unit_micros
        magnitude = (abs(self.micros) + unit // 2) // unit * unit
        return Money(magnitude if self.micros >= 0 else -magnitude)

    def __add__(self, other: Money) -> Money:
        return Money(self.micros + other.micros)

    def __sub__(self, other: Money) -> Money:
        return Money(self.micros - other.micros)

    def __neg__(self) -> Money:
        return Money(-self.micros)

    def __mul__(self, count: int) -> Money:
        return Money(self.micros * count)

    def __bool__(self) -> bool:
        return self.micros != 0


def _written(amount: int, places: int) -> str:
    """A whole number of the smallest units as a decimal number with so many places."""
    digits = f"{abs(amount):0{places + 1}d}"
    sign = "-" if amount < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


ZERO: Final = Money(0)


def total(amounts: Iterable[Money]) -> Money:
    """The sum, zero when there is none."""
    return Money(sum(amount.micros for amount in amounts))

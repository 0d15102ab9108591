"""Taxes on a bill: rates with the days on which they are in force, on prices that don't contain them.

A bill is taxed at the rates in force on the last day of its period, whichever rates were before: the tax
falls due with the bill. Each rate makes one line, of the sum of the lines that it is on as they are shown
(rounded), and that line is rounded once. So a reader can check it with the figures in front of him.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Final

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import Money

_PARTS_A_PERCENT: Final = 10_000
_WHOLE: Final = 100 * _PARTS_A_PERCENT


class Taxable(Enum):
    """What a tax may be on."""

    FEE = "fee"
    CALLS = "calls"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax that is in force in `[valid_from, valid_to)` (no `valid_to`: until further notice).

    Raises:
        InvalidFields: no percentage from 0 to 100 with four decimal places, nothing to tax, or no day.
    """

    name: str
    percent: Decimal
    on: frozenset[Taxable]
    valid_from: date
    valid_to: date | None = None

    def __post_init__(self) -> None:
        problems = []
        if not (self.percent.is_finite() and 0 <= self.percent <= 100):
            problems.append(FieldProblem("percent", "a tax rate is 0 to 100 percent"))
        elif self.percent != round(self.percent, 4):
            problems.append(FieldProblem("percent", "a tax rate has at most four decimal places"))
        if not self.on:
            problems.append(FieldProblem("on", "a tax is on at least one kind of line"))
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            problems.append(FieldProblem("valid_to", "a tax is in force for a day at least"))
        if problems:
            raise InvalidFields(problems)

    def is_in_force(self, day: date) -> bool:
        """Whether the tax is in force on a day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def show_percent(self) -> str:
        """`8.1`: the percentage without needless zeros."""
        text = f"{self.percent:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def of(self, amount: Money) -> Money:
        """The precise tax on an amount, a fraction of a micro-unit cut off (see `rating.Charge.precise`)."""
        parts = int(self.percent * _PARTS_A_PERCENT)
        tax = abs(amount.micros) * parts // _WHOLE
        return Money(tax if amount.micros >= 0 else -tax)


def taxes_in_force(rates: Iterable[TaxRate], day: date) -> tuple[TaxRate, ...]:
    """The rates in force on a day, by name, so that every bill lists them in the same order."""
    return tuple(
        sorted(
            (rate for rate in rates if rate.is_in_force(day)),
            key=lambda rate: (rate.name, rate.percent, rate.valid_from),
        )
    )

"""Billing plans: a monthly fee, a base price, and tariffs that price some calls differently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import Final

from billing_service.domain.allowance import NO_ALLOWANCE, Allowance
from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import MICROS_PER_UNIT, ZERO, Money
from billing_service.domain.phone_number import check_prefix

# Control characters, ends of lines, and halves of characters.
_NO_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MINUTES_A_DAY: Final = 24 * 60
MINUTES_A_WEEK: Final = 7 * MINUTES_A_DAY
LONGEST_INCREMENT_S: Final = 3600
LONGEST_DESCRIPTION: Final = 200
# Two calls of a month at the largest price fit into what a bill can hold (`money.LARGEST_MICROS`), with a fee
# that can be paid at once. Both leave room for currencies with a million to the dollar.
LARGEST_PRICE: Final = Money(10**7 * MICROS_PER_UNIT - 1)
"""Per minute, and as standing charge."""
LARGEST_FEE: Final = Money(10**10 * MICROS_PER_UNIT - 1)


class Weekday(Enum):
    """A day of the week, by its name in the REST API."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"

    @property
    def days_after_monday(self) -> int:
        return list(Weekday).index(self)


class Counting(Enum):
    """Which increments of a call are charged."""

    STARTED = "started"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the day with a price per minute of its own, on one weekday or on every day.

    Half-open, in minutes after local midnight. One that ends at or before its start ends on the next day, so
    22:00–06:00 crosses midnight, and 00:00–00:00 is a whole day.
    """

    weekday: Weekday | None
    from_minute: int
    to_minute: int
    per_minute: Money

    def __post_init__(self) -> None:
        problems = [
            FieldProblem(name, "a time of day is 00:00 to 23:59")
            for name, minute in (("from", self.from_minute), ("to", self.to_minute))
            if not 0 <= minute < MINUTES_A_DAY
        ]
        if self.per_minute < ZERO:
            problems.append(FieldProblem("per_minute", "a price cannot be negative"))
        if problems:
            raise InvalidFields(problems)

    @property
    def length_minutes(self) -> int:
        return (self.to_minute - self.from_minute - 1) % MINUTES_A_DAY + 1

    def covers(self, minute_of_week: int) -> bool:
        """Whether the window is in force in a minute of the local week (0 is Monday, 00:00)."""
        return any(start <= minute_of_week < end for start, end in self.spans())

    def spans(self) -> Iterator[tuple[int, int]]:
        """Its parts of the local week, half-open, in minutes; one across the week's end comes as two."""
        days = range(7) if self.weekday is None else [self.weekday.days_after_monday]
        for day in days:
            start = day * MINUTES_A_DAY + self.from_minute
            end = start + self.length_minutes
            yield start, min(end, MINUTES_A_WEEK)
            if end > MINUTES_A_WEEK:
                yield 0, end - MINUTES_A_WEEK


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs: a standing charge when answered, and a price per minute, counted in increments."""

    per_minute: Money
    standing_charge: Money = ZERO
    initial_increment_s: int = 60
    next_increment_s: int = 60
    counting: Counting = Counting.STARTED
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        problems = [
            FieldProblem(name, "a price cannot be negative")
            for name, amount in (("per_minute", self.per_minute), ("standing_charge", self.standing_charge))
            if amount < ZERO
        ]
        problems += [
            FieldProblem(name, f"an increment is 1 to {LONGEST_INCREMENT_S} seconds")
            for name, seconds in (
                ("initial_increment_s", self.initial_increment_s),
                ("next_increment_s", self.next_increment_s),
            )
            if not 1 <= seconds <= LONGEST_INCREMENT_S
        ]
        problems += _overlapping_windows(self.windows)
        if problems:
            raise InvalidFields(problems)

    def window_at(self, minute_of_week: int) -> Window | None:
        """The window in force in a minute of the local week; a single day's beats an every-day one."""
        every_day = None
        for window in self.windows:
            if window.covers(minute_of_week):
                if window.weekday is not None:
                    return window
                every_day = window
        return every_day


def _overlapping_windows(windows: Sequence[Window]) -> Iterator[FieldProblem]:
    """Windows of one kind (every day, or a single day) that claim the same minute: which price would hold?"""
    for single_day in (False, True):
        spans = sorted(
            (start, end, index)
            for index, window in enumerate(windows)
            if (window.weekday is not None) is single_day
            for start, end in window.spans()
        )
        reported: set[int] = set()
        busy_until, busy_with = 0, 0
        for start, end, index in spans:
            first, second = sorted((busy_with, index))
            if start < busy_until and second not in reported:
                reported.add(second)
                yield FieldProblem(f"windows[{second}]", f"overlaps with windows[{first}] in time")
            if end > busy_until:
                busy_until, busy_with = end, index


@dataclass(frozen=True, slots=True)
class Tariff:
    """A price for calls between numbers with certain prefixes, in force at some time."""

    price: Price
    destination_prefix: str = ""
    source_prefix: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    description: str = ""
    """What the destination is called, such as "Switzerland, mobile"; for people only."""

    def __post_init__(self) -> None:
        check_prefix(self.destination_prefix, field="destination_prefix")
        check_prefix(self.source_prefix, field="source_prefix")
        if (
            len(self.description) > LONGEST_DESCRIPTION
            or _NO_LINE.search(self.description)
            or self.description != self.description.strip()
        ):
            raise InvalidFields.one(
                "description",
                f"a description is one line of at most {LONGEST_DESCRIPTION} characters, no spaces around it",
            )
        for name, instant in (("valid_from", self.valid_from), ("valid_to", self.valid_to)):
            if instant is not None and instant.tzinfo is None:
                raise InvalidFields.one(name, "an instant needs a time zone")
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise InvalidFields.one("valid_to", "must be after valid_from")

    def is_valid_at(self, instant: datetime) -> bool:
        """Whether the tariff is in force: from `valid_from`, up to but without `valid_to`."""
        return (self.valid_from is None or self.valid_from <= instant) and (
            self.valid_to is None or instant < self.valid_to
        )


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What one version of a billing plan says. Never changed: editing a plan makes a new version."""

    name: str
    monthly_fee: Money
    base_price: Price
    tariffs: tuple[Tariff, ...] = field(default=())
    allowance: Allowance = NO_ALLOWANCE
    permits_blocking: bool = True
    """Whether its accounts may keep a block list."""

    def __post_init__(self) -> None:
        problems = []
        if not self.name.strip():
            problems.append(FieldProblem("name", "a plan needs a name"))
        if self.monthly_fee < ZERO:
            problems.append(FieldProblem("monthly_fee", "a fee cannot be negative"))
        problems += competing_tariffs(self.tariffs)
        if problems:
            raise InvalidFields(problems)


def check_new_price(price: Price) -> Price:
    """The price, if it may be put into a plan.

    Prices that have been in force before there was a limit are stored, and stay readable.

    Raises:
        InvalidFields: naming every amount above `LARGEST_PRICE`.
    """
    amounts = [("standing_charge", price.standing_charge), ("per_minute", price.per_minute)]
    amounts += [
        (f"windows[{index}].per_minute", window.per_minute) for index, window in enumerate(price.windows)
    ]
    problems = [
        FieldProblem(name, "a price has at most seven digits before the point")
        for name, amount in amounts
        if amount > LARGEST_PRICE
    ]
    if problems:
        raise InvalidFields(problems)
    return price


def check_new_fee(fee: Money) -> None:
    """Raise InvalidFields for a monthly fee above `LARGEST_FEE`, which may not be put into a plan."""
    if fee > LARGEST_FEE:
        raise InvalidFields.one("monthly_fee", "a fee has at most ten digits before the point")


def competing_tariffs(tariffs: Sequence[Tariff]) -> Iterator[FieldProblem]:
    """Tariffs for the same pair of prefixes that are in force at the same time: which one would hold?"""
    by_prefixes: dict[tuple[str, str], list[int]] = {}
    for index, tariff in enumerate(tariffs):
        by_prefixes.setdefault((tariff.source_prefix, tariff.destination_prefix), []).append(index)
    for indexes in by_prefixes.values():
        if len(indexes) == 1:
            continue
        indexes.sort(key=lambda index: _order_of_start(tariffs[index]))
        for earlier, later in pairwise(indexes):
            ends_at, starts_at = tariffs[earlier].valid_to, tariffs[later].valid_from
            if ends_at is None or starts_at is None or starts_at < ends_at:
                first, second = sorted((earlier, later))
                yield FieldProblem(
                    f"tariffs[{second}]",
                    f"has the same prefixes as tariffs[{first}] and is in force at the same time",
                )


def _order_of_start(tariff: Tariff) -> tuple[bool, datetime | None]:
    return (tariff.valid_from is not None, tariff.valid_from)

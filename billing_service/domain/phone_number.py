"""Phone numbers, prefixes, and the patterns that draw free numbers and filter calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from billing_service.domain.errors import InvalidFields

LONGEST_NUMBER: Final = 15
"""ITU-T E.164 §6: at most fifteen digits."""
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_NUMBER_PATTERN: Final = re.compile(r"[0-9#]{1,15}", re.ASCII)
_PREFIX: Final = re.compile(r"[0-9]{0,15}", re.ASCII)
_FILTER_PATTERN: Final = re.compile(r"[0-9#]{0,15}\*?", re.ASCII)
# More would make a pattern of nothing but #s fit nearly every number there is.
_MOST_FREE_DIGITS: Final = 6


def check_number(text: str, *, field: str = "number") -> str:
    """The number itself: one to fifteen digits.

    Raises:
        InvalidFields: it is anything else.
    """
    if not _NUMBER.fullmatch(text):
        raise InvalidFields.one(field, f"a number is 1 to {LONGEST_NUMBER} digits")
    return text


def check_prefix(text: str, *, field: str) -> str:
    """The prefix itself: up to fifteen digits, or nothing, which every number begins with.

    Raises:
        InvalidFields: it is anything else.
    """
    if not _PREFIX.fullmatch(text):
        raise InvalidFields.one(
            field, f"a prefix is up to {LONGEST_NUMBER} digits, or nothing for every number"
        )
    return text


def check_number_pattern(text: str, *, field: str = "number") -> str:
    """The pattern itself: digits, with `#` for every digit that the system may choose.

    Raises:
        InvalidFields: it is anything else, or leaves more than six digits open.
    """
    if not _NUMBER_PATTERN.fullmatch(text):
        raise InvalidFields.one(
            field,
            f"a number is 1 to {LONGEST_NUMBER} digits, with # for each digit that the system may choose",
        )
    if text.count("#") > _MOST_FREE_DIGITS:
        raise InvalidFields.one(field, f"at most {_MOST_FREE_DIGITS} digits may be left to the system")
    return text


def is_pattern(text: str) -> bool:
    """Whether the system must choose the number."""
    return "#" in text


def draw_free_number(pattern: str, taken: Iterable[str], draw: Callable[[int], int]) -> str | None:
    """A number that fits a pattern and is not taken, each with the same chance; None when all are taken.

    `draw(n)` gives a random integer from 0 up to, not including, `n`.
    """
    places = pattern.count("#")
    # Tens of thousands of numbers are looked through, and a regular expression is the quickest way.
    shape = re.compile(re.sub("#+", lambda run: f"([0-9]{{{len(run[0])}}})", pattern), re.ASCII)
    occupied = sorted({_chosen_digits(fits) for number in taken if (fits := shape.fullmatch(number))})
    free = 10**places - len(occupied)
    if free == 0:
        return None
    # The n-th free number is the n-th of all, moved up by one for every taken number before it.
    chosen = draw(free) if is_pattern(pattern) else 0
    for candidate in occupied:
        if candidate > chosen:
            break
        chosen += 1
    digits = iter(f"{chosen:0{places}d}")
    return "".join(next(digits) if character == "#" else character for character in pattern)


def _chosen_digits(fits: re.Match[str]) -> int:
    return int("".join(fits.groups()) or "0")


def check_filter_pattern(text: str, *, field: str = "pattern") -> str:
    """The pattern of a filter rule itself: digits, `#` for any one digit, a trailing `*` for any rest.

    Raises:
        InvalidFields: it is anything else, or empty.
    """
    if not text or not _FILTER_PATTERN.fullmatch(text):
        raise InvalidFields.one(
            field, "a pattern is digits, # for any one digit, and * at the end for any rest"
        )
    return text


def matches_filter_pattern(pattern: str, number: str) -> bool:
    """Whether a filter rule's pattern covers a number."""
    fixed = pattern.removesuffix("*")
    if len(number) < len(fixed) or (len(number) > len(fixed) and not pattern.endswith("*")):
        return False
    return all(wanted in ("#", digit) for wanted, digit in zip(fixed, number, strict=False))

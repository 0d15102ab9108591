"""The plain rater: what an answered call costs, increment by increment, and why.

It reads like the rules and takes time in proportion to the call's length. `curve` gives the same amounts in
constant time; a property test holds the two equal, so this is where to look when a price is in doubt.

Increments and pieces are real elapsed time; windows are local wall-clock time. So a clock change in the
middle of a call neither adds nor loses a minute, though it can move minutes into or out of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Window
from billing_service.domain.wall_clock import MINUTE_US, SECOND_US, WEEK_US, wall_us

SECONDS_A_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a call under one price per minute."""

    starts_at: datetime
    length_us: int
    """Counting `started`: its increments' length. Counting `completed`: real time up to a window border."""
    charged_s: int
    per_minute: Money
    window: Window | None
    increments: int
    """How many increments `charged_s` is made of."""


@dataclass(frozen=True, slots=True)
class Charge:
    """The price of a call with its parts."""

    standing_charge: Money
    pieces: tuple[Piece, ...]

    @property
    def precise(self) -> Money:
        """The price in micro-units, a fraction of a micro-unit cut off.

        Cutting (not rounding) here keeps the later rounding to the minor unit the only one: no amount below a
        half can become one that is rounded up.
        """
        per_minute_seconds = sum(piece.charged_s * piece.per_minute.micros for piece in self.pieces)
        return precise_price(self.standing_charge, per_minute_seconds)


def precise_price(standing_charge: Money, per_minute_seconds: int) -> Money:
    """A standing charge plus seconds times price per minute (in micro-units), cut to whole micro-units."""
    return Money(standing_charge.micros + per_minute_seconds // SECONDS_A_MINUTE)


def charge_call(price: Price, *, answered_at: datetime, duration_us: int, zone: tzinfo) -> Charge:
    """Price an answered call that lasted `duration_us` microseconds of real time."""
    if price.counting is Counting.STARTED:
        pieces = merged(_started_increments(price, answered_at, duration_us, zone))
    else:
        minutes = merged(_wall_minutes(price, answered_at, duration_us, zone))
        pieces = [completed_piece(price, piece, is_first=index == 0) for index, piece in enumerate(minutes)]
    return Charge(price.standing_charge, tuple(pieces))


def window_at(price: Price, instant: datetime, zone: tzinfo) -> Window | None:
    """The window in force at an instant, by the local wall clock."""
    return price.window_at(wall_us(instant, zone) % WEEK_US // MINUTE_US)


def _started_increments(
    price: Price, answered_at: datetime, duration_us: int, zone: tzinfo
) -> Iterator[Piece]:
    """Each increment that the call began, whole, at the price in force at its first instant."""
    elapsed_us, increment_s = 0, price.initial_increment_s
    while elapsed_us < duration_us:
        starts_at = answered_at + timedelta(microseconds=elapsed_us)
        window = window_at(price, starts_at, zone)
        yield make_piece(price, window, starts_at, increment_s * SECOND_US, increment_s, 1)
        elapsed_us += increment_s * SECOND_US
        increment_s = price.next_increment_s


def _wall_minutes(price: Price, answered_at: datetime, duration_us: int, zone: tzinfo) -> Iterator[Piece]:
    """The call cut at every full minute on the wall: window borders and clock changes are among them."""
    elapsed_us = 0
    while elapsed_us < duration_us:
        starts_at = answered_at + timedelta(microseconds=elapsed_us)
        to_next_minute = MINUTE_US - wall_us(starts_at, zone) % MINUTE_US
        length_us = min(to_next_minute, duration_us - elapsed_us)
        yield make_piece(price, window_at(price, starts_at, zone), starts_at, length_us)
        elapsed_us += length_us


def make_piece(
    price: Price,
    window: Window | None,
    starts_at: datetime,
    length_us: int,
    charged_s: int = 0,
    increments: int = 0,
) -> Piece:
    """A piece at the price per minute of a window, or the one outside of windows."""
    per_minute = price.per_minute if window is None else window.per_minute
    return Piece(starts_at, length_us, charged_s, per_minute, window, increments)


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours under the same window (or both under none) as one piece."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].window == piece.window:
            last = joined[-1]
            joined[-1] = replace(
                last,
                length_us=last.length_us + piece.length_us,
                charged_s=last.charged_s + piece.charged_s,
                increments=last.increments + piece.increments,
            )
        else:
            joined.append(piece)
    return joined


def completed_piece(price: Price, piece: Piece, *, is_first: bool) -> Piece:
    """A piece of a call that counts completed increments, with those that fit whole into it."""
    first_s = price.initial_increment_s if is_first else price.next_increment_s
    charged_s = completed_seconds(piece.length_us, first_s, price.next_increment_s)
    increments = 0 if charged_s == 0 else 1 + (charged_s - first_s) // price.next_increment_s
    return replace(piece, charged_s=charged_s, increments=increments)


def completed_seconds(length_us: int, first_increment_s: int, next_increment_s: int) -> int:
    """The seconds of the increments that fit whole into a piece.

    A call's initial increment counts in its first piece only; every other piece is made of next increments.
    """
    beyond_first_us = length_us - first_increment_s * SECOND_US
    if beyond_first_us < 0:
        return 0
    return first_increment_s + beyond_first_us // (next_increment_s * SECOND_US) * next_increment_s

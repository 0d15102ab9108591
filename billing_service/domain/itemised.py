"""The pieces of a call found by walking from border to border, not from increment to increment.

Gives what `rating.charge_call` gives, for calls of any length: it takes as many steps as there are window
borders and clock changes in the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

from billing_service.domain.curve import PriceCurve
from billing_service.domain.plan import Counting, Window
from billing_service.domain.rating import Charge, Piece, completed_piece, make_piece, merged
from billing_service.domain.wall_clock import MICROSECOND, SECOND_US, WEEK_US, even_stretches


def itemise(curve: PriceCurve, *, answered_at: datetime, duration_us: int, zone: tzinfo) -> Charge:
    """The price of an answered call with its parts."""
    price = curve.price
    runs = _runs(curve, answered_at, duration_us, zone)
    if price.counting is Counting.STARTED:
        pieces = merged(_started(curve, runs, answered_at))
    else:
        lengths = merged(
            make_piece(price, window, answered_at + begins_us * MICROSECOND, ends_us - begins_us)
            for begins_us, ends_us, window in runs
        )
        pieces = [completed_piece(price, piece, is_first=index == 0) for index, piece in enumerate(lengths)]
    return Charge(price.standing_charge, tuple(pieces))


def _runs(
    curve: PriceCurve, answered_at: datetime, duration_us: int, zone: tzinfo
) -> Iterator[tuple[int, int, Window | None]]:
    """The call cut at window borders and clock changes: from, to (in the call's time), and the window."""
    at_us = 0
    for stretch in even_stretches(answered_at, answered_at + duration_us * MICROSECOND, zone):
        end_us = at_us + stretch.duration_us
        position_us = curve.position_us(stretch.wall_us)
        while at_us < end_us:
            segment = curve.segment_at(position_us)
            to_border_us = curve.to_border_us(position_us, segment)
            length_us = end_us - at_us if to_border_us is None else min(to_border_us, end_us - at_us)
            yield at_us, at_us + length_us, segment.window
            at_us += length_us
            position_us = (position_us + length_us) % WEEK_US


def _started(
    curve: PriceCurve, runs: Iterator[tuple[int, int, Window | None]], answered_at: datetime
) -> Iterator[Piece]:
    """The increments that begin in each run, together; they may reach beyond it."""
    price, next_at_us = curve.price, 0
    for _, ends_us, window in runs:
        if next_at_us == 0:
            yield make_piece(
                price,
                window,
                answered_at,
                price.initial_increment_s * SECOND_US,
                price.initial_increment_s,
                1,
            )
            next_at_us = price.initial_increment_s * SECOND_US
        count = -((next_at_us - ends_us) // (price.next_increment_s * SECOND_US))
        if count > 0:
            charged_s = count * price.next_increment_s
            starts_at = answered_at + next_at_us * MICROSECOND
            yield make_piece(price, window, starts_at, charged_s * SECOND_US, charged_s, count)
            next_at_us += charged_s * SECOND_US

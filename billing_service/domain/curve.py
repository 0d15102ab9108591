"""A price compiled into a weekly curve, so that a call is priced without walking through its minutes.

The windows of a price repeat every week. Cut at their borders, the local week is a handful of segments with
one price per minute each. What many increments cost in a row is then the area under the curve between two
points (when the increment divides a minute), and what whole pieces cost is a sum over whole segments; both
are differences of prefix sums. A call costs two look-ups for every stretch of even wall clock in it: one
stretch, or two around a clock change.

Increments that don't divide a minute walk segment by segment: as many steps as the call crosses window
borders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import accumulate
from typing import Final

from billing_service.domain.money import Money
from billing_service.domain.plan import MINUTES_A_WEEK, Counting, Price, Window
from billing_service.domain.rating import completed_seconds, precise_price
from billing_service.domain.wall_clock import SECOND_US, WEEK_US, Stretch, even_stretches

_WEEK_S: Final = WEEK_US // SECOND_US


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part `[start_s, end_s)` of the local week under one window (or none)."""

    start_s: int
    end_s: int
    per_minute: int
    window: Window | None

    @property
    def length_s(self) -> int:
        return self.end_s - self.start_s


class PriceCurve:
    """A compiled price; `price_call` equals `rating.charge_call(…).precise` for every call."""

    def __init__(self, price: Price) -> None:
        self._price = price
        self._origin_s, self._segments = _segments_of_week(price)
        self._starts = [segment.start_s for segment in self._segments]
        self._area = _prefix_sums([segment.length_s * segment.per_minute for segment in self._segments])
        self._completed = _prefix_sums(
            [self._completed_in(segment.length_s * SECOND_US, segment) for segment in self._segments]
        )

    def price_call(self, *, answered_at: datetime, duration_us: int, zone: tzinfo) -> Money:
        """The precise price of an answered call that lasted `duration_us` microseconds of real time."""
        ended_at = answered_at + timedelta(microseconds=duration_us)
        stretches = list(even_stretches(answered_at, ended_at, zone))
        if self._price.counting is Counting.STARTED:
            per_minute_seconds = self._started(stretches)
        else:
            per_minute_seconds = self._pieces(stretches)
        return precise_price(self._price.standing_charge, per_minute_seconds)

    def _started(self, stretches: Sequence[Stretch]) -> int:
        """Seconds times price per minute of all increments that the call began."""
        if not stretches:
            return 0
        step_us = self._price.next_increment_s * SECOND_US
        first_position = self._position_us(stretches[0].wall_us)
        charged = self._price.initial_increment_s * self._segment_at(first_position).per_minute
        # The call's time at which the next increment begins, then at which the stretch does.
        increment_us, stretch_us = self._price.initial_increment_s * SECOND_US, 0
        for stretch in stretches:
            end_us = stretch_us + stretch.duration_us
            count = max(0, -((increment_us - end_us) // step_us))
            if count:
                position = self._position_us(stretch.wall_us + increment_us - stretch_us)
                charged += self._price.next_increment_s * self._prices_in_a_row(position, count)
                increment_us += count * step_us
            stretch_us = end_us
        return charged

    def _prices_in_a_row(self, position_us: int, count: int) -> int:
        """The sum of the prices per minute at `count` points, one next increment apart."""
        step_s = self._price.next_increment_s
        if len(self._segments) == 1:
            return count * self._segments[0].per_minute
        if 60 % step_s == 0:
            # Segments begin on full minutes, so no price changes between two borders of this grid.
            slot = position_us // (step_s * SECOND_US)
            return (self._area_up_to((slot + count) * step_s) - self._area_up_to(slot * step_s)) // step_s
        charged, step_us = 0, step_s * SECOND_US
        while count:
            segment = self._segment_at(position_us)
            here = min(count, -((position_us - segment.end_s * SECOND_US) // step_us))
            charged += here * segment.per_minute
            count -= here
            position_us = (position_us + here * step_us) % WEEK_US
        return charged

    def _area_up_to(self, position_s: int) -> int:
        """Seconds times price per minute from the curve's origin; goes on through any number of weeks."""
        weeks, rest_s = divmod(position_s, _WEEK_S)
        index = bisect_right(self._starts, rest_s) - 1
        segment = self._segments[index]
        return weeks * self._area[-1] + self._area[index] + (rest_s - segment.start_s) * segment.per_minute

    def _pieces(self, stretches: Sequence[Stretch]) -> int:
        """Seconds times price per minute of every piece's completed increments."""
        charged, piece_us, is_first = 0, 0, True
        piece: _Segment | None = None
        for stretch in stretches:
            position_us = self._position_us(stretch.wall_us)
            segment = self._segment_at(position_us)
            if piece is not None and piece.window != segment.window:
                charged += self._completed_in(piece_us, piece, is_first=is_first)
                piece_us, is_first = 0, False
            to_border_us = self._to_border_us(position_us, segment)
            if to_border_us is None or stretch.duration_us <= to_border_us:
                piece, piece_us = segment, piece_us + stretch.duration_us
                continue
            charged += self._completed_in(piece_us + to_border_us, segment, is_first=is_first)
            is_first = False
            border_s = (position_us + to_border_us) // SECOND_US
            end_us = position_us + stretch.duration_us
            # A piece that ends exactly on a border is whole, but must stay open: the clock may change there.
            last = self._segment_at((end_us - 1) % WEEK_US)
            last_start_s = (end_us - 1) // WEEK_US * _WEEK_S + last.start_s
            charged += self._completed_up_to(last_start_s) - self._completed_up_to(border_s)
            piece, piece_us = last, end_us - last_start_s * SECOND_US
        if piece is not None:
            charged += self._completed_in(piece_us, piece, is_first=is_first)
        return charged

    def _completed_up_to(self, border_s: int) -> int:
        """Seconds times price per minute of all whole segments from the curve's origin up to a border."""
        weeks, rest_s = divmod(border_s, _WEEK_S)
        return weeks * self._completed[-1] + self._completed[bisect_right(self._starts, rest_s) - 1]

    def _completed_in(self, length_us: int, segment: _Segment, *, is_first: bool = False) -> int:
        next_s = self._price.next_increment_s
        first_s = self._price.initial_increment_s if is_first else next_s
        return completed_seconds(length_us, first_s, next_s) * segment.per_minute

    def _to_border_us(self, position_us: int, segment: _Segment) -> int | None:
        """How far it is to the next window border; None when there is none in the week."""
        return None if len(self._segments) == 1 else segment.end_s * SECOND_US - position_us

    def _position_us(self, wall_us: int) -> int:
        return (wall_us - self._origin_s * SECOND_US) % WEEK_US

    def _segment_at(self, position_us: int) -> _Segment:
        return self._segments[bisect_right(self._starts, position_us // SECOND_US) - 1]


def _segments_of_week(price: Price) -> tuple[int, list[_Segment]]:
    """The week cut where the window in force changes, counted from one of these borders (the origin).

    Starting at a border leaves no segment that runs on across the end of the week.
    """
    minutes = sorted({0, *(minute for window in price.windows for span in window.spans() for minute in span)})
    minutes = [minute for minute in minutes if minute < MINUTES_A_WEEK]
    windows = [price.window_at(minute) for minute in minutes]
    borders = [minute for index, minute in enumerate(minutes) if windows[index] != windows[index - 1]]
    origin = borders[0] if borders else 0
    starts = [minute - origin for minute in borders] or [0]
    ends = [*starts[1:], MINUTES_A_WEEK]
    return origin * 60, [
        _segment(price, price.window_at(start + origin), start, end)
        for start, end in zip(starts, ends, strict=True)
    ]


def _segment(price: Price, window: Window | None, start_minute: int, end_minute: int) -> _Segment:
    per_minute = price.per_minute if window is None else window.per_minute
    return _Segment(start_minute * 60, end_minute * 60, per_minute.micros, window)


def _prefix_sums(values: list[int]) -> list[int]:
    """One more than `values`: the sum of the first none, one, two… of them."""
    return list(accumulate(values, initial=0))

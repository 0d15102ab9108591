"""A price compiled into a weekly curve, so that a call is priced without walking through its minutes.

The windows of a price repeat every week. Cut at their borders, the local week is a handful of segments with
one price per minute each. Most calls lie in one segment and cost one look-up. For the others, what many
increments cost in a row is the area under the curve between two points (when the increment divides a minute),
and what whole pieces cost is a sum over whole segments; both are differences of prefix sums. Such a call
costs two look-ups for every stretch of even wall clock in it: one stretch, or two around a clock change.

Increments that don't divide a minute walk segment by segment: as many steps as the call crosses window
borders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import accumulate
from typing import Final

from billing_service.domain.money import Money
from billing_service.domain.plan import MINUTES_A_WEEK, Counting, Price, Window
from billing_service.domain.rating import SECONDS_A_MINUTE, completed_seconds
from billing_service.domain.wall_clock import (
    EPOCH,
    EPOCH_WEEK_US,
    MICROSECOND,
    SECOND_US,
    WEEK_US,
    Stretch,
    ZoneClock,
    epoch_us,
    even_stretches,
    zone_clock,
)

_WEEK_S: Final = WEEK_US // SECOND_US


@dataclass(frozen=True, slots=True)
class Segment:
    """A part `[start_s, end_s)` of the local week, from the curve's origin, under one window (or none)."""

    start_s: int
    end_s: int
    per_minute: int
    window: Window | None

    @property
    def length_s(self) -> int:
        return self.end_s - self.start_s


class PriceCurve:
    """A compiled price; `price_call` equals `rating.charge_call(…).precise` for every call.

    Its arrays are for raters of many calls at once. `starts_s[i]` is where segment `i` begins, in seconds of
    the local week after `origin_us`; `per_minute[i]` its price in micro-units; `area[i]` the sum of seconds
    times price, and `completed[i]` the sum of completed seconds times price, of all segments before it.
    """

    def __init__(self, price: Price) -> None:
        self.price = price
        origin_s, segments = _segments_of_week(price)
        self.origin_us = origin_s * SECOND_US
        self.segments = tuple(segments)
        self.starts_s = tuple(segment.start_s for segment in segments)
        self.per_minute = tuple(segment.per_minute for segment in segments)
        self.area = _prefix_sums([segment.length_s * segment.per_minute for segment in segments])
        self.completed = _prefix_sums(
            [self._completed_in(segment.length_s * SECOND_US, segment) for segment in segments]
        )
        self._shift_us = EPOCH_WEEK_US - self.origin_us
        self._starts_us = tuple(segment.start_s * SECOND_US for segment in segments)
        # A week of one price has no border to be crossed, however long the call.
        self._ends_us = (
            tuple(segment.end_s * SECOND_US for segment in segments) if len(segments) > 1 else (1 << 62,)
        )
        self._standing_charge = price.standing_charge.micros
        self._initial_s, self._next_s = price.initial_increment_s, price.next_increment_s
        self._initial_us, self._next_us = self._initial_s * SECOND_US, self._next_s * SECOND_US
        self._counts_started = price.counting is Counting.STARTED

    def price_call(self, *, answered_at: datetime, duration_us: int, zone: tzinfo) -> Money:
        """The precise price of an answered call that lasted `duration_us` microseconds of real time."""
        return Money(self.price_us(epoch_us(answered_at), duration_us, zone_clock(zone)))

    def price_us(self, answered_us: int, duration_us: int, clock: ZoneClock) -> int:
        """The same by whole numbers: microseconds since the epoch in, micro-units out."""
        return self._standing_charge + (
            self.weighted_seconds(answered_us, duration_us, clock) // SECONDS_A_MINUTE
        )

    def weighted_seconds(self, answered_us: int, duration_us: int, clock: ZoneClock) -> int:
        """Charged seconds times their price per minute in micro-units, before anything is cut."""
        if duration_us <= 0:
            return 0
        offset_us, even_until_us = clock.offset_at(answered_us)
        if answered_us + duration_us > even_until_us:
            return self._in_stretches(answered_us, duration_us, clock)
        position_us = (answered_us + offset_us + self._shift_us) % WEEK_US
        index = bisect_right(self._starts_us, position_us) - 1
        if self._counts_started:
            further_us = duration_us - self._initial_us
            if further_us <= 0:
                return self._initial_s * self.per_minute[index]
            count = -(-further_us // self._next_us)
            second_us = position_us + self._initial_us
            if second_us + (count - 1) * self._next_us < self._ends_us[index]:
                return (self._initial_s + count * self._next_s) * self.per_minute[index]
            return self._initial_s * self.per_minute[index] + self._next_s * self._prices_in_a_row(
                second_us % WEEK_US, count
            )
        if position_us + duration_us <= self._ends_us[index]:
            further_us = duration_us - self._initial_us
            if further_us < 0:
                return 0
            return (self._initial_s + further_us // self._next_us * self._next_s) * self.per_minute[index]
        return self._in_stretches(answered_us, duration_us, clock)

    def _in_stretches(self, answered_us: int, duration_us: int, clock: ZoneClock) -> int:
        """The same for any call, however many borders and clock changes there are in it."""
        answered_at = EPOCH + answered_us * MICROSECOND
        stretches = list(even_stretches(answered_at, answered_at + duration_us * MICROSECOND, clock.zone))
        return self._started(stretches) if self._counts_started else self._pieces(stretches)

    def _started(self, stretches: Sequence[Stretch]) -> int:
        """Seconds times price per minute of all increments that the call began."""
        first_position = self.position_us(stretches[0].wall_us)
        charged = self._initial_s * self.segment_at(first_position).per_minute
        # The call's time at which the next increment begins, then at which the stretch does.
        increment_us, stretch_us = self._initial_us, 0
        for stretch in stretches:
            end_us = stretch_us + stretch.duration_us
            count = max(0, -((increment_us - end_us) // self._next_us))
            if count:
                position = self.position_us(stretch.wall_us + increment_us - stretch_us)
                charged += self._next_s * self._prices_in_a_row(position, count)
                increment_us += count * self._next_us
            stretch_us = end_us
        return charged

    def _prices_in_a_row(self, position_us: int, count: int) -> int:
        """The sum of the prices per minute at `count` points, one next increment apart."""
        step_s = self._next_s
        if len(self.segments) == 1:
            return count * self.per_minute[0]
        if 60 % step_s == 0:
            # Segments begin on full minutes, so no price changes between two borders of this grid.
            slot = position_us // self._next_us
            return (self._area_up_to((slot + count) * step_s) - self._area_up_to(slot * step_s)) // step_s
        charged = 0
        while count:
            segment = self.segment_at(position_us)
            here = min(count, -((position_us - segment.end_s * SECOND_US) // self._next_us))
            charged += here * segment.per_minute
            count -= here
            position_us = (position_us + here * self._next_us) % WEEK_US
        return charged

    def _area_up_to(self, position_s: int) -> int:
        """Seconds times price per minute from the curve's origin; goes on through any number of weeks."""
        weeks, rest_s = divmod(position_s, _WEEK_S)
        index = bisect_right(self.starts_s, rest_s) - 1
        return (
            weeks * self.area[-1]
            + self.area[index]
            + (rest_s - self.starts_s[index]) * self.per_minute[index]
        )

    def _pieces(self, stretches: Sequence[Stretch]) -> int:
        """Seconds times price per minute of every piece's completed increments."""
        charged, piece_us, is_first = 0, 0, True
        piece: Segment | None = None
        for stretch in stretches:
            position_us = self.position_us(stretch.wall_us)
            segment = self.segment_at(position_us)
            if piece is not None and piece.window != segment.window:
                charged += self._completed_in(piece_us, piece, is_first=is_first)
                piece_us, is_first = 0, False
            to_border_us = self.to_border_us(position_us, segment)
            if to_border_us is None or stretch.duration_us <= to_border_us:
                piece, piece_us = segment, piece_us + stretch.duration_us
                continue
            charged += self._completed_in(piece_us + to_border_us, segment, is_first=is_first)
            is_first = False
            border_s = (position_us + to_border_us) // SECOND_US
            end_us = position_us + stretch.duration_us
            # A piece that ends exactly on a border is whole, but must stay open: the clock may change there.
            last = self.segment_at((end_us - 1) % WEEK_US)
            last_start_s = (end_us - 1) // WEEK_US * _WEEK_S + last.start_s
            charged += self._completed_up_to(last_start_s) - self._completed_up_to(border_s)
            piece, piece_us = last, end_us - last_start_s * SECOND_US
        if piece is not None:
            charged += self._completed_in(piece_us, piece, is_first=is_first)
        return charged

    def _completed_up_to(self, border_s: int) -> int:
        """Seconds times price per minute of all whole segments from the curve's origin up to a border."""
        weeks, rest_s = divmod(border_s, _WEEK_S)
        return weeks * self.completed[-1] + self.completed[bisect_right(self.starts_s, rest_s) - 1]

    def _completed_in(self, length_us: int, segment: Segment, *, is_first: bool = False) -> int:
        next_s = self.price.next_increment_s
        first_s = self.price.initial_increment_s if is_first else next_s
        return completed_seconds(length_us, first_s, next_s) * segment.per_minute

    def to_border_us(self, position_us: int, segment: Segment) -> int | None:
        """How far it is to the next window border; None when there is none in the week."""
        return None if len(self.segments) == 1 else segment.end_s * SECOND_US - position_us

    def position_us(self, wall_us: int) -> int:
        """Where in the curve's week a wall time is."""
        return (wall_us - self.origin_us) % WEEK_US

    def segment_at(self, position_us: int) -> Segment:
        """The segment at a position in the curve's week."""
        return self.segments[bisect_right(self._starts_us, position_us) - 1]


def _segments_of_week(price: Price) -> tuple[int, list[Segment]]:
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


def _segment(price: Price, window: Window | None, start_minute: int, end_minute: int) -> Segment:
    per_minute = price.per_minute if window is None else window.per_minute
    return Segment(start_minute * 60, end_minute * 60, per_minute.micros, window)


def _prefix_sums(values: list[int]) -> tuple[int, ...]:
    """One more than `values`: the sum of the first none, one, two… of them."""
    return tuple(accumulate(values, initial=0))

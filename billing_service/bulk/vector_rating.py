"""Rating many calls at once: the arithmetic of `domain.curve` on arrays of whole numbers.

Exact: everything is 64-bit integers, and where these could overflow, or a call is of a rare kind (over a
clock change, increments that don't divide a minute across a window's border, prices by source or date), the
one-at-a-time rater prices it. A property test holds both equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

import numpy as np
from numpy.typing import NDArray

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.curve import PriceCurve
from billing_service.domain.plan import Counting, Price
from billing_service.domain.rating import SECONDS_A_MINUTE
from billing_service.domain.wall_clock import (
    EPOCH,
    EPOCH_WEEK_US,
    MICROSECOND,
    SECOND_US,
    WEEK_US,
    offsets_between,
    zone_clock,
)

Integers = NDArray[np.int64]

_WEEK_S: Final = WEEK_US // SECOND_US
_BEYOND: Final = 1 << 62
_LONGEST_NUMBER: Final = 16
_BLOCK: Final = 1 << 16
_POWERS: Final = np.array([10**power for power in range(_LONGEST_NUMBER + 1)], np.int64)


def price_calls(
    plan: CompiledPlan,
    *,
    sources: Sequence[str],
    destinations: Sequence[str],
    answered_us: Integers,
    durations_us: Integers,
    zone: tzinfo,
) -> Integers:
    """The precise prices of answered calls under one plan version, in micro-units.

    Instants are microseconds since the epoch, durations microseconds. Raises OverflowError when a price does
    not fit into 64 bits; none that can be stored is so large.
    """
    micros = np.zeros(len(answered_us), np.int64)
    # A block at a time, so that the steps find what the ones before left in the CPU's cache.
    for first in range(0, len(micros), _BLOCK):
        block = slice(first, first + _BLOCK)
        prices, choice = _choose(plan, sources[block], destinations[block], answered_us[block])
        for index, price in enumerate(prices):
            chosen = first + np.flatnonzero(choice == index)
            micros[chosen] = price_many(plan.curve(price), answered_us[chosen], durations_us[chosen], zone)
    return micros


def price_many(curve: PriceCurve, answered_us: Integers, durations_us: Integers, zone: tzinfo) -> Integers:
    """The precise prices of calls that one price is for, in micro-units."""
    if not len(answered_us):
        return np.zeros(0, np.int64)
    longest_us = max(0, int(durations_us.max()))
    if not _is_safe(curve, longest_us):
        return _one_by_one(curve, answered_us, durations_us, zone)
    ends_us = answered_us + durations_us
    changes, offsets = offsets_between(zone, int(answered_us.min()), int(ends_us.max()) + 1)
    stretch = np.searchsorted(np.array(changes, np.int64), answered_us, side="right")
    is_even = ends_us <= np.array([*changes, _BEYOND], np.int64)[stretch]
    position_us = (
        answered_us + np.array(offsets, np.int64)[stretch] + (EPOCH_WEEK_US - curve.origin_us)
    ) % WEEK_US
    count = _started if curve.price.counting is Counting.STARTED else _completed
    charged, is_done = count(curve, position_us, durations_us)
    charged[durations_us <= 0] = 0
    micros = curve.price.standing_charge.micros + charged // SECONDS_A_MINUTE
    rest = np.flatnonzero(~(is_even & is_done))
    if len(rest):
        micros[rest] = _one_by_one(curve, answered_us[rest], durations_us[rest], zone)
    return micros


def _is_safe(curve: PriceCurve, longest_us: int) -> bool:
    """Whether no sum of seconds times price can leave 63 bits, by arithmetic that has no bounds itself."""
    price = curve.price
    seconds = longest_us // SECOND_US + price.initial_increment_s + price.next_increment_s + 2 * _WEEK_S
    # Twice: whole increments may be twice as long as the call, and areas reach from the curve's origin.
    return (
        longest_us < 1 << 60 and 2 * seconds * max(curve.per_minute) + price.standing_charge.micros < _BEYOND
    )


def _one_by_one(curve: PriceCurve, answered_us: Integers, durations_us: Integers, zone: tzinfo) -> Integers:
    clock = zone_clock(zone)
    return np.array(
        [
            curve.price_us(answered, duration, clock)
            for answered, duration in zip(answered_us.tolist(), durations_us.tolist(), strict=True)
        ],
        np.int64,
    )


def _segments(curve: PriceCurve) -> tuple[Integers, Integers, Integers]:
    """Where the segments of the week start and end (microseconds), and their prices."""
    starts_us = np.array([start_s * SECOND_US for start_s in curve.starts_s], np.int64)
    # A week of one price has no border to be crossed, however long the call.
    ends_us: Integers = np.append(starts_us[1:], np.int64(WEEK_US if len(starts_us) > 1 else _BEYOND))
    return starts_us, ends_us, np.array(curve.per_minute, np.int64)


def _started(
    curve: PriceCurve, position_us: Integers, durations_us: Integers
) -> tuple[Integers, NDArray[np.bool_]]:
    """Seconds times price per minute of all increments that calls began, and which of them are done."""
    initial_s, next_s = curve.price.initial_increment_s, curve.price.next_increment_s
    next_us = next_s * SECOND_US
    starts_us, ends_us, per_minute = _segments(curve)
    segment = np.searchsorted(starts_us, position_us, side="right") - 1
    count = np.maximum(0, -((initial_s * SECOND_US - durations_us) // next_us))
    first = per_minute[segment]
    charged = (initial_s + count * next_s) * first
    second_us = position_us + initial_s * SECOND_US
    is_done = (count == 0) | (second_us + (count - 1) * next_us < ends_us[segment])
    rest = np.flatnonzero(~is_done)
    if len(rest) and 60 % next_s == 0:
        slot = second_us[rest] % WEEK_US // next_us
        area = _area_up_to(curve, (slot + count[rest]) * next_s) - _area_up_to(curve, slot * next_s)
        charged[rest] = initial_s * first[rest] + area
        is_done[rest] = True
    return charged, is_done


def _area_up_to(curve: PriceCurve, position_s: Integers) -> Integers:
    weeks, rest_s = np.divmod(position_s, _WEEK_S)
    starts_s = np.array(curve.starts_s, np.int64)
    area = np.array(curve.area, np.int64)
    index = np.searchsorted(starts_s, rest_s, side="right") - 1
    inside: Integers = (rest_s - starts_s[index]) * np.array(curve.per_minute, np.int64)[index]
    up_to: Integers = weeks * area[-1] + area[index] + inside
    return up_to


def _completed(
    curve: PriceCurve, position_us: Integers, durations_us: Integers
) -> tuple[Integers, NDArray[np.bool_]]:
    """The same of the increments that were completed in each piece between two borders."""
    starts_us, ends_us, per_minute = _segments(curve)
    segment = np.searchsorted(starts_us, position_us, side="right") - 1
    charged = _completed_s(curve, durations_us, is_first=True) * per_minute[segment]
    is_done = position_us + durations_us <= ends_us[segment]
    rest = np.flatnonzero(~is_done)
    if len(rest):
        here, end_us = segment[rest], position_us[rest] + durations_us[rest]
        to_border_us = ends_us[here] - position_us[rest]
        first = _completed_s(curve, to_border_us, is_first=True) * per_minute[here]
        weeks: Integers = (end_us - 1) // WEEK_US
        last = np.searchsorted(starts_us, (end_us - 1) % WEEK_US, side="right") - 1
        completed = np.array(curve.completed, np.int64)
        # Whole segments between the first border and the last.
        after_first = (here + 1) % len(starts_us)
        wrapped = (here + 1) // len(starts_us)
        between = (weeks - wrapped) * completed[-1] + completed[last] - completed[after_first]
        tail_us = end_us - (weeks * WEEK_US + starts_us[last])
        charged[rest] = first + between + _completed_s(curve, tail_us, is_first=False) * per_minute[last]
        is_done[rest] = True
    return charged, is_done


def _completed_s(curve: PriceCurve, length_us: Integers, *, is_first: bool) -> Integers:
    next_s = curve.price.next_increment_s
    first_s = curve.price.initial_increment_s if is_first else next_s
    beyond_us = length_us - first_s * SECOND_US
    seconds: Integers = np.where(beyond_us < 0, 0, first_s + beyond_us // (next_s * SECOND_US) * next_s)
    return seconds


def _choose(
    plan: CompiledPlan, sources: Sequence[str], destinations: Sequence[str], answered_us: Integers
) -> tuple[list[Price], Integers]:
    """The prices in question, and for each call the index of its own."""
    tariffs = plan.terms.tariffs
    if not tariffs:
        return [plan.terms.base_price], np.zeros(len(answered_us), np.int64)
    prices = [plan.terms.base_price]
    indexes = {id(plan.terms.base_price): 0}
    for tariff in tariffs:
        if indexes.setdefault(id(tariff.price), len(prices)) == len(prices):
            prices.append(tariff.price)
    choice = np.zeros(len(answered_us), np.int64)
    if any(tariff.source_prefix or tariff.valid_from or tariff.valid_to for tariff in tariffs):
        strange = np.arange(len(choice))
    else:
        keys, lengths = _number_keys(destinations)
        strange = np.flatnonzero(lengths == 0)
        undecided = np.flatnonzero(lengths)
        by_length: dict[int, list[tuple[int, int]]] = {}
        for tariff in tariffs:
            prefix = tariff.destination_prefix
            by_length.setdefault(len(prefix), []).append((int("1" + prefix), indexes[id(tariff.price)]))
        for length in sorted(by_length, reverse=True):
            table = np.array(sorted(by_length[length]), np.int64)
            prefixes, owners = table[:, 0], table[:, 1]
            # A shorter number keeps its own leading 1, so that it can't equal a prefix of this length.
            cut = keys[undecided] // _POWERS[np.maximum(0, lengths[undecided] - length)]
            place = np.minimum(np.searchsorted(prefixes, cut), len(prefixes) - 1)
            found = prefixes[place] == cut
            choice[undecided[found]] = owners[place[found]]
            undecided = undecided[~found]
    for call in strange.tolist():
        price = plan.price_at(
            source=sources[call],
            destination=destinations[call],
            answered_at=EPOCH + int(answered_us[call]) * MICROSECOND,
        )
        choice[call] = indexes[id(price)]
    return prices, choice


def _number_keys(numbers: Sequence[str]) -> tuple[Integers, Integers]:
    """Numbers as integers with a leading 1, which keeps their zeros, and their lengths; 0 when not digits."""
    try:
        texts = np.array(numbers, dtype=f"S{_LONGEST_NUMBER + 1}")
    except UnicodeEncodeError:
        return np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int64)
    lengths = np.char.str_len(texts).astype(np.int64)
    # A row for each place in the numbers, so that each step below reads memory in order.
    characters = texts.view(np.uint8).reshape(len(numbers), _LONGEST_NUMBER + 1).T.copy()
    characters -= ord("0")  # what was below "0" wraps to far above 9
    digits = np.count_nonzero(characters < 10, axis=0)
    is_number = (digits == lengths) & (lengths <= _LONGEST_NUMBER)
    keys = np.ones(len(numbers), np.int64)
    for place in range(min(int(lengths.max(initial=0)), _LONGEST_NUMBER)):
        keys = np.where(place < lengths, keys * 10 + characters[place], keys)
    return keys, np.where(is_number, lengths, 0)

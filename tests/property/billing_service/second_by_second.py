"""A rater that goes through a call second by second: slow, and written without the code that it checks."""

from datetime import datetime, time, timedelta, tzinfo
from fractions import Fraction
from itertools import groupby
from math import floor

from billing_service.domain.plan import Counting, Price, Weekday, Window

_ONE_DAY = timedelta(days=1)
_WEEKDAYS = list(Weekday)


def price_micros(price: Price, answered_at: datetime, duration_s: int, zone: tzinfo) -> int:
    """The price in micro-units, cut, of a call answered at a whole second that lasted whole seconds."""
    in_force = [window_in_force(price, answered_at + timedelta(seconds=s), zone) for s in range(duration_s)]
    count = _started if price.counting is Counting.STARTED else _completed
    return price.standing_charge.micros + floor(count(price, in_force))


def window_in_force(price: Price, instant: datetime, zone: tzinfo) -> Window | None:
    """The window that a person with a wall clock and a calendar would name."""
    shown = instant.astimezone(zone).replace(tzinfo=None)
    holding = [window for window in price.windows if _holds(window, shown)]
    single_day = [window for window in holding if window.weekday is not None]
    return (single_day or holding or [None])[0]


def _holds(window: Window, shown: datetime) -> bool:
    for began_on in (shown.date(), shown.date() - _ONE_DAY):
        start = datetime.combine(began_on, time()) + timedelta(minutes=window.from_minute)
        end = datetime.combine(began_on, time()) + timedelta(minutes=window.to_minute)
        if end <= start:
            end += _ONE_DAY
        right_day = window.weekday is None or _WEEKDAYS[began_on.weekday()] is window.weekday
        if right_day and start <= shown < end:
            return True
    return False


def _per_second(price: Price, window: Window | None) -> Fraction:
    per_minute = price.per_minute if window is None else window.per_minute
    return Fraction(per_minute.micros, 60)


def _started(price: Price, in_force: list[Window | None]) -> Fraction:
    charged, second, length = Fraction(0), 0, price.initial_increment_s
    while second < len(in_force):
        charged += length * _per_second(price, in_force[second])
        second, length = second + length, price.next_increment_s
    return charged


def _completed(price: Price, in_force: list[Window | None]) -> Fraction:
    charged, length = Fraction(0), price.initial_increment_s
    for window, seconds in groupby(in_force):
        left = len(list(seconds))
        while left >= length:
            charged += length * _per_second(price, window)
            left, length = left - length, price.next_increment_s
        length = price.next_increment_s
    return charged

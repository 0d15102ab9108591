"""The Date header (RFC 3261 §20.17): phones set their clocks by it."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_line(wall: float) -> str:
    """Return the header line for an instant of the wall clock (seconds since 1970)."""
    return _date_line(int(wall))


@lru_cache(maxsize=4)
def _date_line(second: int) -> str:
    at = datetime.fromtimestamp(second, UTC)
    return f"Date: {_DAYS[at.weekday()]}, {at:%d} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} GMT"

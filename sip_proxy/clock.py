"""The clock that calls are measured by: real elapsed time, whatever is done to the wall clock.

Sound flows from phone to phone, so a call goes on while the machine of the exchange is suspended, and that
time is paid for like any other. `time.monotonic` stands still then.
"""

import time
from collections.abc import Callable
from functools import partial

CLOCK_NAME = "boottime" if hasattr(time, "CLOCK_BOOTTIME") else "monotonic"
"""Instants are to be compared only with those of the same clock, and of the same run of the machine."""

elapsed: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if CLOCK_NAME == "boottime" else time.monotonic
)
"""Seconds since an instant that stays the same until the machine starts again."""

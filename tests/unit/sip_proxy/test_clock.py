"""Calls are measured by real elapsed time, that of a suspended machine included."""

import time
from functools import partial

import pytest

from sip_proxy import clock
from sip_proxy.driver import Driver


def test_the_clock_goes_on_while_the_machine_is_suspended() -> None:
    """`time.monotonic` doesn't; the phones talk on meanwhile."""
    assert isinstance(clock.elapsed, partial)
    assert (clock.elapsed.func, clock.elapsed.args) == (time.clock_gettime, (time.CLOCK_BOOTTIME,))
    assert clock.CLOCK_NAME == "boottime"


@pytest.mark.interpreted
def test_the_exchange_goes_by_it() -> None:
    assert (Driver.__init__.__kwdefaults__ or {})["clock"] is clock.elapsed

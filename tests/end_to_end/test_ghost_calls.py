"""A phone loses its power in a call: it ends by itself, with the last sign of life of the called phone."""

import time
from collections.abc import Iterator

import pytest

from tests.support.subscribers import Subscribers
from tests.support.system import System, running_system

PING_S = 1
# The exchange asks a silent phone three times before it gives it up.
FOUND_OUT_WITHIN_S = 15


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that asks the phones of a call for signs of life every second."""
    var = tmp_path_factory.mktemp("ghosts") / "var"
    with running_system(var, TOLLBELL_SIP_PING_S=str(PING_S), TOLLBELL_SAMPLE_DATA="no") as system:
        yield system


@pytest.mark.parametrize("lost", ["caller", "callee"])
def test_the_call_of_a_phone_without_power_ends(system: System, lost: str) -> None:
    subscribers = Subscribers(system)
    alice, bob = subscribers.make(), subscribers.make()
    with alice.phone() as caller, bob.phone() as callee:
        caller.register()
        callee.register()
        before = time.monotonic()
        caller.call(bob.number)
        callee.wait_for_ring()
        callee.answer()
        caller.wait_until_talking()
        answered = time.monotonic()
        time.sleep(3 * PING_S)  # they talk, and are asked for signs of life
        dead, alive = (caller, callee) if lost == "caller" else (callee, caller)
        dead.kill()
        killed = time.monotonic()
        alive.wait_for_end(timeout_s=FOUND_OUT_WITHIN_S)

    [call] = alice.call_records(1)
    assert (call["outcome"], call["ended_by"]) == ("answered", "exchange")
    # Asked every second while it lived: the last sign of life is at most that (and a little) before the end.
    # A called phone that is alone answers the three questions more that the caller does not.
    alone_s = 5 * PING_S if lost == "caller" else 0
    assert killed - answered - 1.5 * PING_S <= call["duration_us"] / 1e6 <= killed - before + alone_s
    assert alice.open_bill()["call_total"] == "0.46"
    assert system.control("GET", "/v1/calls").body["items"] == []


def test_living_phones_talk_for_as_long_as_they_like(system: System) -> None:
    subscribers = Subscribers(system)
    alice, bob = subscribers.make(), subscribers.make()
    with alice.phone() as caller, bob.phone() as callee:
        caller.register()
        callee.register()
        caller.call(bob.number)
        callee.wait_for_ring()
        callee.answer()
        caller.wait_until_talking()
        answered = time.monotonic()
        time.sleep(FOUND_OUT_WITHIN_S / 2)  # many questions long
        caller.send_tone(440)
        callee.hear_frequency(440)
        lasted_s = time.monotonic() - answered
        caller.hang_up()
        callee.wait_for_end()

    [call] = alice.call_records(1)
    assert call["duration_us"] / 1e6 == pytest.approx(lasted_s, abs=1.0)
    assert call["ended_by"] == "caller"

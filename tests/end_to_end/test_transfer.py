"""Real phones transfer and hold calls: each call that results is billed to its caller."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.softphone import Phone
from tests.support.subscribers import Subscriber
from tests.support.system import System, eventually

MakeSubscriber = Callable[..., Subscriber]


@contextmanager
def registered(*subscribers: Subscriber, transport: str = "udp") -> Iterator[list[Phone]]:
    """A phone for each subscriber, all registered."""
    with ExitStack() as stack:
        phones = [stack.enter_context(one.phone(transport)) for one in subscribers]
        for phone in phones:
            phone.register()
        yield phones


def talk(caller: Phone, callee: Phone) -> None:
    """Put a call through."""
    caller.call(callee.number)
    callee.wait_for_ring()
    callee.answer()
    caller.wait_until_talking()


def no_live_calls(system: System, *subscribers: Subscriber) -> None:
    numbers = {subscriber.number for subscriber in subscribers}
    eventually(
        lambda: (
            not [
                call
                for call in system.control("GET", "/v1/calls").body["items"]
                if {call["caller"], call["callee"]} & numbers
            ]
        ),
        "no call is left",
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_called_phone_transfers_its_caller(
    system: System, subscriber: MakeSubscriber, transport: str
) -> None:
    """Blind: Alice calls Bob, Bob sends her on to Carol. Alice pays for both calls."""
    alice, bob, carol = subscriber(), subscriber(), subscriber()
    with registered(alice, bob, carol, transport=transport) as (a, b, c):
        talk(a, b)
        b.transfer(c.number)
        a.wait_until_moved()
        c.wait_for_ring()
        c.answer()
        a.wait_until_talking()
        b.hang_up()
        a.send_tone(440)
        c.hear_frequency(440)
        a.hang_up()
        c.wait_for_end()

    calls = alice.call_records(2)
    assert {(call["callee"], call["outcome"]) for call in calls} == {
        (bob.number, "answered"),
        (carol.number, "answered"),
    }
    assert (bob.calls(), carol.calls()) == ([], [])
    assert alice.open_bill()["call_total"] == "0.92"
    no_live_calls(system, alice, bob, carol)


def test_a_caller_transfers_the_phone_that_it_called(system: System, subscriber: MakeSubscriber) -> None:
    """Blind: Alice calls Bob and sends him on to Carol. The new call is Bob's, and Bob pays for it."""
    alice, bob, carol = subscriber(), subscriber(), subscriber()
    with registered(alice, bob, carol) as (a, b, c):
        talk(a, b)
        a.transfer(c.number)
        b.wait_until_moved()
        c.wait_for_ring()
        c.answer()
        b.wait_until_talking()
        a.hang_up()
        b.hang_up()
        c.wait_for_end()

    [first] = alice.call_records(1)
    [second] = bob.call_records(1)
    assert (first["callee"], first["outcome"]) == (bob.number, "answered")
    assert (second["callee"], second["outcome"]) == (carol.number, "answered")
    assert alice.open_bill()["call_total"] == bob.open_bill()["call_total"] == "0.46"


def test_a_transfer_to_a_busy_phone_leaves_the_call_as_it_was(
    system: System, subscriber: MakeSubscriber
) -> None:
    alice, bob, carol = subscriber(), subscriber(), subscriber()
    with registered(alice, bob, carol) as (a, b, c):
        talk(a, b)
        b.transfer(c.number)
        c.wait_for_ring()
        c.reject(486)
        progress = b.wait_for_transfer()
        a.send_tone(440)
        b.hear_frequency(440)
        a.hang_up()
        b.wait_for_end()

    assert progress.status == 486
    calls = alice.call_records(2)
    assert {(call["callee"], call["outcome"]) for call in calls} == {
        (bob.number, "answered"),
        (carol.number, "busy"),
    }
    assert alice.open_bill()["call_total"] == "0.46"


def test_an_attended_transfer_joins_two_calls(system: System, subscriber: MakeSubscriber) -> None:
    """Alice talks to Bob, asks Carol, and connects the two: Bob's phone makes the call, with Replaces."""
    alice, bob, carol = subscriber(), subscriber(), subscriber()
    with registered(alice, bob, carol) as (a, b, c):
        talk(a, b)
        first = a.call_name
        assert first is not None
        a.hold()
        talk(a, c)
        consultation = a.call_name
        assert consultation is not None
        a.call_name = first
        a.transfer_to_call(consultation)
        progress = a.wait_for_transfer()
        b.wait_until_moved()
        c.wait_until_moved()
        b.wait_until_talking()
        a.hang_up()
        b.send_tone(440)
        c.hear_frequency(440)
        b.hang_up()
        c.wait_for_end()

    assert progress.status == 200
    calls = alice.call_records(2)
    assert {(call["callee"], call["outcome"]) for call in calls} == {
        (bob.number, "answered"),
        (carol.number, "answered"),
    }
    [joined] = bob.call_records(1)
    assert (joined["callee"], joined["outcome"]) == (carol.number, "answered")
    assert carol.calls() == []
    no_live_calls(system, alice, bob, carol)


def test_a_held_call_is_one_call(system: System, subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()
    with registered(alice, bob) as (a, b):
        talk(a, b)
        began = time.monotonic()
        a.send_tone(440)
        b.hear_frequency(440)
        a.hold()
        b.hear_silence()
        a.resume()
        b.hear_frequency(440)
        b.hold()
        b.hear_silence()
        b.resume()
        a.send_tone(660)
        b.hear_frequency(660)
        lasted_s = time.monotonic() - began
        b.hang_up()
        a.wait_for_end()

    [call] = alice.call_records(1)
    assert (call["outcome"], call["ended_by"]) == ("answered", "callee")
    assert call["duration_us"] / 1e6 == pytest.approx(lasted_s, abs=1.0)
    assert bob.calls() == []

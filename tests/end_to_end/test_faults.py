"""Parts die in the middle of a call, and the call is billed once, with its true duration."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.softphone import Phone
from tests.support.subscribers import Subscriber
from tests.support.system import System, eventually

MakeSubscriber = Callable[..., Subscriber]


@dataclass(slots=True)
class Conversation:
    """A call in progress and the test's own clock of it."""

    caller: Phone
    callee: Phone
    answered_at: float = field(default_factory=time.monotonic)

    def hang_up(self) -> float:
        """The caller hangs up; returns the seconds that the call has lasted."""
        lasted_s = time.monotonic() - self.answered_at
        self.caller.hang_up()
        return lasted_s


@contextmanager
def conversation(alice: Subscriber, bob: Subscriber, transport: str = "udp") -> Iterator[Conversation]:
    with alice.phone(transport) as caller, bob.phone(transport) as callee:
        caller.register()
        callee.register()
        caller.call(bob.number)
        callee.wait_for_ring()
        callee.answer()
        caller.wait_until_talking()
        yield Conversation(caller, callee)


def billed_once(alice: Subscriber, lasted_s: float) -> dict[str, Any]:
    [call] = alice.call_records(1, timeout_s=60)
    assert call["outcome"] == "answered"
    assert call["duration_us"] / 1e6 == pytest.approx(lasted_s, abs=1.0)
    assert call["price"] == "0.46"
    assert alice.open_bill()["call_total"] == "0.46"
    return call


def test_billing_is_killed_during_a_call(system: System, subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()
    with conversation(alice, bob) as talk:
        system.kill("billing")
        lasted_s = talk.hang_up()
    system.wait_until_healthy()

    billed_once(alice, lasted_s)


def test_a_call_is_put_through_while_billing_is_away(system: System, subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()
    pid = system.pid_of("billing")
    os.kill(pid, signal.SIGSTOP)
    try:
        with conversation(alice, bob) as talk:
            lasted_s = talk.hang_up()
    finally:
        os.kill(pid, signal.SIGCONT)

    billed_once(alice, lasted_s)


def test_postgresql_is_killed_during_a_call(system: System, subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()
    with conversation(alice, bob) as talk:
        os.kill(system.postmaster_pid(), signal.SIGKILL)
        lasted_s = talk.hang_up()
    system.wait_until_healthy()

    billed_once(alice, lasted_s)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_proxy_is_killed_during_a_call(
    system: System, subscriber: MakeSubscriber, transport: str
) -> None:
    alice, bob = subscriber(), subscriber()
    with conversation(alice, bob, transport) as talk:
        before = system.pid_of("proxy")
        system.kill("proxy")
        system.wait_until_healthy()
        assert system.pid_of("proxy") != before
        [live] = [
            call
            for call in system.control("GET", "/v1/calls").body["items"]
            if call["caller"] == alice.number
        ]
        assert live["state"] == "answered"
        time.sleep(1)
        lasted_s = talk.hang_up()
        talk.callee.wait_for_end()

    call = billed_once(alice, lasted_s)
    assert call["record_id"] == live["id"]


def test_a_phone_hangs_up_while_the_proxy_is_away(system: System, subscriber: MakeSubscriber) -> None:
    """The BYE is retransmitted (RFC 3261 §17.1.2.2) until the proxy is back."""
    alice, bob = subscriber(), subscriber()
    with conversation(alice, bob) as talk:
        system.kill("proxy")
        talk.hang_up()
        talk.callee.wait_for_end(timeout_s=32)
        # The phones were in the call until the exchange could tell them otherwise.
        lasted_s = time.monotonic() - talk.answered_at
    system.wait_until_healthy()

    billed_once(alice, lasted_s)


def test_the_console_comes_back_after_being_killed(system: System) -> None:
    system.kill("admin")

    system.wait_until_healthy()

    eventually(lambda: system.said("admin .*SIGKILL"), "the supervisor says what happened")

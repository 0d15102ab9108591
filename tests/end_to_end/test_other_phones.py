"""Phones of other makers on the whole system: their calls are priced like any other."""

from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.baresip import baresip
from tests.support.sipp import start_sipp
from tests.support.subscribers import Subscriber
from tests.support.system import System, eventually

MakeSubscriber = Callable[..., Subscriber]
PRICE_OF_A_SHORT_CALL = Decimal("0.46")
SIPP_CALLS = 10


def address(system: System, transport: str) -> tuple[str, int]:
    return "127.0.0.1", system.ports[f"SIP_{transport.upper()}"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_baresip_calls_baresip(
    system: System, subscriber: MakeSubscriber, tmp_path: Path, transport: str
) -> None:
    alice, bob = subscriber(), subscriber()
    server = address(system, transport)
    with (
        baresip(
            tmp_path / "caller",
            number=alice.number,
            password=alice.password,
            server=server,
            transport=transport,
            tone_hz=600,
        ) as caller,
        baresip(
            tmp_path / "callee",
            number=bob.number,
            password=bob.password,
            server=server,
            transport=transport,
            tone_hz=1000,
            answers=True,
        ) as callee,
    ):
        caller.wait_until_registered()
        callee.wait_until_registered()
        caller.dial(bob.number)
        callee.wait_for("CALL_ESTABLISHED")
        caller.wait_for("CALL_ESTABLISHED")
        eventually(
            lambda: [
                call
                for call in system.control("GET", "/v1/calls").body["items"]
                if call["caller"] == alice.number and call["state"] == "answered"
            ],
            "the call is live",
        )
        caller.hang_up()
        callee.wait_for("CALL_CLOSED")

    [call] = alice.call_records(1)
    assert Decimal(call["price"]) == PRICE_OF_A_SHORT_CALL
    assert alice.open_bill()["call_total"] == "0.46"


@pytest.mark.parametrize(("caller_over", "callee_over"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp")])
def test_sipp_calls_sipp(
    system: System, subscriber: MakeSubscriber, tmp_path: Path, caller_over: str, callee_over: str
) -> None:
    alice, bob = subscriber(), subscriber()
    with ExitStack() as stack:
        callee = start_sipp(
            "register",
            directory=tmp_path,
            server=address(system, callee_over),
            transport=callee_over,
            called=bob.number,
            number=bob.number,
            password=bob.password,
            out_of_call="callee",
            stay_ms="30000",
        )
        stack.callback(callee.stop)
        eventually(
            lambda: (
                bob.number
                in {item["number"] for item in system.control("GET", "/v1/registrations").body["items"]}
            ),
            f"SIPp registers: {callee.report()}",
        )
        caller = start_sipp(
            "caller",
            directory=tmp_path,
            server=address(system, caller_over),
            transport=caller_over,
            called=bob.number,
            number=alice.number,
            password=alice.password,
            calls=SIPP_CALLS,
            caller=alice.number,
            talk_ms="200",
        )
        stack.callback(caller.stop)
        caller.wait()

    calls = alice.call_records(SIPP_CALLS)
    assert {call["outcome"] for call in calls} == {"answered"}
    assert {Decimal(call["price"]) for call in calls} == {PRICE_OF_A_SHORT_CALL}
    assert Decimal(alice.open_bill()["call_total"]) == SIPP_CALLS * PRICE_OF_A_SHORT_CALL

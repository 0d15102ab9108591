"""The main job: two real phones call each other with sound, and the call is on a bill, priced to the cent."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.support.subscribers import FEE, Subscriber, Subscribers
from tests.support.system import System, eventually

MakeSubscriber = Callable[..., Subscriber]


@pytest.mark.parametrize(
    ("caller_transport", "callee_transport"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]
)
def test_two_phones_talk_and_the_call_is_on_the_open_bill(
    system: System, subscriber: MakeSubscriber, caller_transport: str, callee_transport: str
) -> None:
    alice, bob = subscriber(), subscriber()
    with ExitStack() as stack:
        from_phone = stack.enter_context(alice.phone(caller_transport))
        to_phone = stack.enter_context(bob.phone(callee_transport))
        from_phone.register()
        to_phone.register()
        assert {alice.number, bob.number} <= registered_numbers(system)

        from_phone.call(bob.number)
        assert to_phone.wait_for_ring().number == alice.number
        from_phone.wait_until_ringing()
        assert live_state(system, alice, bob) == "ringing"
        to_phone.answer()
        from_phone.wait_until_talking()
        assert live_state(system, alice, bob) == "answered"

        from_phone.send_tone(440)
        to_phone.send_tone(1000)
        to_phone.hear_frequency(440)
        from_phone.hear_frequency(1000)

        from_phone.hang_up()
        to_phone.wait_for_end()

    [call] = alice.call_records(1)
    assert call["outcome"] == "answered"
    assert call["callee"] == bob.number
    assert call["ended_by"] == "caller"
    assert call["price"] == "0.46"  # 0.36 for the call and one started minute at 0.10
    assert seconds_between(call, "answered_at", "ended_at") == pytest.approx(
        call["duration_us"] / 1e6, abs=0.005
    )
    bill = alice.open_bill()
    assert bill["state"] == "open"
    assert bill["call_total"] == "0.46"
    assert [line["record_id"] for line in bill["calls"]] == [call["record_id"]]
    assert bob.calls() == []
    assert live_calls_of(system, alice) == []


def test_closing_a_period_gives_a_bill_with_the_right_total(
    system: System, subscriber: MakeSubscriber
) -> None:
    alice, bob = subscriber(), subscriber()
    with alice.phone() as from_phone, bob.phone() as to_phone:
        from_phone.register()
        to_phone.register()
        for _ in range(2):
            from_phone.call(bob.number)
            to_phone.wait_for_ring()
            to_phone.answer()
            from_phone.wait_until_talking()
            to_phone.hang_up()
            from_phone.wait_for_end()
    alice.call_records(2)
    period = alice.open_bill()["period"]

    system.close_ahead(after(period["end"]))

    [listed] = alice.closed_bills()
    bill = system.billing("GET", f"/v1/bills/{listed['number']}").body
    fee = prorated_fee(alice.account["opened_at"], period)
    assert bill["state"] == "closed"
    assert bill["call_total"] == "0.92"
    assert Decimal(bill["fee_total"]) == fee
    assert Decimal(bill["total"]) == fee + Decimal("0.92")
    assert Decimal(bill["total"]) == sum(Decimal(line["amount"]) for line in bill["lines"])
    assert len(bill["calls"]) == 2
    assert {call["bill"] for call in alice.calls()} == {bill["number"]}

    system.close_ahead(after(period["end"]))
    assert len(alice.closed_bills()) == 1


def test_calls_that_were_not_answered_cost_nothing(system: System, subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()
    with alice.phone() as from_phone, bob.phone() as to_phone:
        from_phone.register()
        to_phone.register()
        from_phone.call(bob.number)
        to_phone.wait_for_ring()
        to_phone.reject(486)
        assert from_phone.wait_for_end().status == 486
        from_phone.call(bob.number)
        to_phone.wait_for_ring()
        from_phone.wait_until_ringing()
        from_phone.hang_up()
        to_phone.wait_for_end()

    cancelled, busy = alice.call_records(2)
    assert (busy["outcome"], busy["duration_us"]) == ("busy", 0)
    assert (cancelled["outcome"], cancelled["duration_us"]) == ("cancelled", 0)
    assert alice.open_bill()["call_total"] == "0.00"


def test_an_emergency_call_from_a_suspended_account_is_put_through_and_free(
    system: System, subscribers: Subscribers
) -> None:
    alice = subscribers.make()
    desk = system.billing("GET", "/v1/phone-accounts/9911")
    police = (
        Subscriber(system, "9911", sip_password(system, "9911"), desk.body)
        if desk.status == 200
        else subscribers.make(number="9911")
    )
    suspended = system.billing("POST", f"/v1/phone-accounts/{alice.number}/suspend", {"reason": "test"})
    assert suspended.status == 200, suspended
    subscribers.wait_for_exchange()
    with alice.phone() as from_phone, police.phone() as to_phone:
        from_phone.register()
        to_phone.register()
        from_phone.call("9911")
        to_phone.wait_for_ring()
        to_phone.answer()
        from_phone.wait_until_talking()
        from_phone.hang_up()
        to_phone.wait_for_end()

    [call] = alice.call_records(1)
    assert call["emergency"] is True
    assert call["outcome"] == "answered"
    assert alice.open_bill()["call_total"] == "0.00"


def sip_password(system: System, number: str) -> str:
    answer = system.billing("POST", f"/v1/phone-accounts/{number}/sip-password", {"sip_password": None})
    password: str = answer.body["sip_password"]
    return password


def registered_numbers(system: System) -> set[str]:
    return {item["number"] for item in system.control("GET", "/v1/registrations").body["items"]}


def live_calls_of(system: System, caller: Subscriber) -> list[dict[str, Any]]:
    items = system.control("GET", "/v1/calls").body["items"]
    return [item for item in items if item["caller"] == caller.number]


def live_state(system: System, caller: Subscriber, callee: Subscriber) -> str:
    """The state of the one live call between two numbers, once it has the state the phones see."""
    [call] = eventually(lambda: live_calls_of(system, caller), "the call is live")
    assert call["callee"] == callee.number
    state: str = call["state"]
    return state


def seconds_between(call: dict[str, Any], start: str, end: str) -> float:
    return (datetime.fromisoformat(call[end]) - datetime.fromisoformat(call[start])).total_seconds()


def after(instant: str) -> str:
    return (datetime.fromisoformat(instant) + timedelta(hours=1)).astimezone(UTC).isoformat()


def prorated_fee(opened_at: str, period: dict[str, str]) -> Decimal:
    """The fee from the opening to the end of the period, by the rule of the design, in UTC (the default).

    The whole period is a month from midnight of the billing day, which is the day of the opening.
    """
    opened, end = datetime.fromisoformat(opened_at), datetime.fromisoformat(period["end"])
    midnight = opened.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tick = timedelta(microseconds=1)
    share = Decimal((end - opened) // tick) / Decimal((end - midnight) // tick)
    return (Decimal(FEE) * share).quantize(Decimal("0.01"), ROUND_HALF_UP)

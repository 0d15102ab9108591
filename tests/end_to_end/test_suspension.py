"""Who does not pay can't call, and who has paid can: the exchange knows within a second."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.support.subscribers import Subscriber, Subscribers
from tests.support.system import System, eventually

PROMISED_S = 5.0


@contextlib.contextmanager
def unpaid_bill_limit(system: System, limit: int) -> Iterator[None]:
    before = system.billing("GET", "/v1/settings").body["unpaid_bill_limit"]
    assert system.billing("PATCH", "/v1/settings", {"unpaid_bill_limit": limit}).status == 200
    yield
    assert system.billing("PATCH", "/v1/settings", {"unpaid_bill_limit": before}).status == 200


def seconds_until_known(system: System) -> float:
    """How long from now until the exchange has every change that billing has committed by now."""
    began = time.monotonic()
    version = system.billing("GET", "/internal/v1/directory?since=0&wait=0").body["version"]
    eventually(
        lambda: system.control("GET", "/health").body["directory_version"] >= version,
        "the exchange knows",
    )
    return time.monotonic() - began


def pay(system: System, subscriber: Subscriber) -> None:
    [bill] = subscriber.closed_bills()
    paid = system.billing(
        "POST",
        "/v1/payments",
        {"account": subscriber.number, "amount": bill["total"], "bill": bill["number"]},
        Idempotency_Key=f"e2e-{subscriber.number}",
    )
    assert paid.status == 201, paid
    assert paid.body["reactivated"]


def test_closing_suspends_and_a_payment_reactivates_at_once(system: System, subscribers: Subscribers) -> None:
    alice, bob = subscribers.make(), subscribers.make()
    period_end = datetime.fromisoformat(alice.open_bill()["period"]["end"])
    with alice.phone() as caller, bob.phone() as callee:
        caller.register()
        callee.register()
        with unpaid_bill_limit(system, 1):
            as_of = (period_end + timedelta(hours=1)).isoformat()
            system.close_ahead(as_of)
        account = system.billing("GET", f"/v1/phone-accounts/{alice.number}").body
        assert account["state"] == "suspended"
        assert seconds_until_known(system) < PROMISED_S
        caller.call(bob.number)
        refusal = caller.wait_for_end()
        assert refusal.status == 403
        assert "suspended" in (refusal.detail or refusal.reason).lower()

        for subscriber in (bob, alice):  # he got a bill as well
            pay(system, subscriber)
        assert seconds_until_known(system) < PROMISED_S
        caller.call(bob.number)
        assert callee.wait_for_ring().number == alice.number
        callee.answer()
        caller.wait_until_talking()
        caller.hang_up()
        callee.wait_for_end()

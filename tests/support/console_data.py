"""A small phone network for the console's tests, with hostile names in it."""

from datetime import timedelta

from tests.support.fake_billing_api import FakeBilling
from tests.support.fake_services import NOW, FakeExchange


def small_network(billing: FakeBilling, exchange: FakeExchange) -> None:
    """Two customers, three accounts, a few calls, two bills, a live call and a phone."""
    alice = billing.add_customer("Alice Example", email="alice@example.net", address="Lake Street 12\nZürich")
    hotel = billing.add_customer("Hotel <b>Bold</b> & Co")
    billing.add_account(
        "0001",
        alice,
        display_name="Reception",
        call_limit=2,
        outgoing_filter=[{"pattern": "9#*", "action": "deny"}],
        block_list=["0003"],
        balance="-12.50",
        unpaid_bills=1,
    )
    billing.add_account("0002", hotel, display_name='<img src=x onerror="alert(1)">')
    billing.add_account("0003", hotel, state="suspended", plan_name="Flat")
    for hours in range(30):
        billing.add_call("0001", "0002", invited_at=NOW - timedelta(hours=hours + 1))
    billing.add_call(
        "0002",
        "<script>alert(2)</script>",
        invited_at=NOW - timedelta(days=60),
        outcome="rejected",
        price="0.00",
    )
    start, end = NOW - timedelta(days=50), NOW - timedelta(days=20)
    billing.add_bill("2026-000001", "0001", start, end)
    billing.add_bill("2026-000002", "0002", start, end, state="paid", paid="5.00", amount_due="0.00")
    billing.rejected.append(
        {
            "id": 1,
            "received_at": "2026-11-21T20:00:00.000000Z",
            "reason": "ended_at is before answered_at",
            "record": {"caller": "<script>alert(3)</script>"},
        }
    )
    exchange.set_call("live-1", "0001", "0002", "ringing")
    exchange.register("0002", user_agent="Phone <i>X</i>")

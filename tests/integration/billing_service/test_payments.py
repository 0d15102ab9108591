"""Payments over the REST API: each is taken once, pays what it should, and may let a phone call again."""

import asyncio
from typing import Any

import pytest

from tests.support.billing import Answer, Billing


async def pay(billing: Billing, key: str, **fields: Any) -> Answer:
    body = {"account": "0001", "amount": "5.00", **fields}
    return await billing.post("/v1/payments", body, headers={"Idempotency-Key": key})


async def close(billing: Billing, as_of: str) -> None:
    answer = await billing.close_ahead(as_of)
    assert answer.status == 200, answer


@pytest.fixture
async def suspended(billing: Billing) -> Billing:
    """Account 0001 owes three bills of 30.00 (the first less by a day) and is suspended for it."""
    await billing.add_account("0001", plan_id=await billing.add_plan(monthly_fee="30.00"))
    await close(billing, "2027-02-21T00:00:00Z")
    assert (await billing.get("/v1/phone-accounts/0001")).body["state"] == "suspended"
    return billing


async def test_a_payment_settles_the_oldest_bill_and_reactivates(suspended: Billing) -> None:
    version = (await suspended.get("/internal/v1/directory", since=0)).body["version"]
    answer = await pay(suspended, "1", amount="30.00", note="Cash")
    assert answer.status == 201
    assert answer.body == {"id": answer.body["id"], "settled": ["2027-000001"], "reactivated": True}
    account = (await suspended.get("/v1/phone-accounts/0001")).body
    assert (account["state"], account["unpaid_bills"]) == ("active", 2)
    directory = (await suspended.get("/internal/v1/directory", since=version)).body
    assert [(account["number"], account["state"]) for account in directory["accounts"]] == [
        ("0001", "active")
    ]


async def test_the_same_key_again_pays_nothing_more(suspended: Billing) -> None:
    first = await pay(suspended, "key-1", amount="10.00")
    again = await pay(suspended, "key-1", amount="10.00")
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    bill = (await suspended.get("/v1/bills/2027-000001")).body
    assert bill["paid"] == "10.00"


async def test_the_same_key_at_the_same_time_pays_once(suspended: Billing) -> None:
    answers = await asyncio.gather(*(pay(suspended, "key-1", amount="10.00") for _ in range(5)))
    assert {answer.body["id"] for answer in answers} == {answers[0].body["id"]}
    assert (await suspended.get("/v1/bills/2027-000001")).body["paid"] == "10.00"


async def test_the_same_key_for_another_payment_is_a_conflict(suspended: Billing) -> None:
    await pay(suspended, "key-1", amount="10.00")
    assert (await pay(suspended, "key-1", amount="11.00")).status == 409
    assert (await suspended.get("/v1/bills/2027-000001")).body["paid"] == "10.00"


async def test_a_payment_that_was_refused_may_be_put_right_under_its_key(suspended: Billing) -> None:
    assert (await pay(suspended, "key-1", amount="0")).status == 422
    assert (await pay(suspended, "key-1", amount="10.00")).status == 201


async def test_a_payment_may_name_its_bill(suspended: Billing) -> None:
    answer = await pay(suspended, "1", amount="30.00", bill="2027-000002")
    assert answer.body["settled"] == ["2027-000002"]
    assert (await pay(suspended, "2", amount="1.00", bill="2027-000002")).status == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-1.00"}, "amount"),
        ({"amount": "0.001"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "1e999"}, "amount"),
        ({"amount": "10000000000.00"}, "amount"),
        ({"amount": 5}, "amount"),
        ({"amount": None}, "amount"),
        ({"account": "0009"}, "account"),
        ({"account": "x"}, "account"),
        ({"bill": "2027-000099"}, "bill"),
        ({"bill": "x"}, "bill"),
        ({"note": "a\nb"}, "note"),
        ({"note": "\x00"}, "note"),
        ({"tip": "1.00"}, "tip"),
    ],
)
async def test_a_payment_that_makes_no_sense_is_refused_by_name(
    suspended: Billing, changes: dict[str, Any], field: str
) -> None:
    answer = await pay(suspended, "1", **changes)
    assert answer.status == 422
    assert list(answer.fields()) == [field]
    # Nothing of it is booked.
    assert (await suspended.get("/v1/bills/2027-000001")).body["paid"] == "0.00"


async def test_an_account_stays_readable_however_much_is_paid(suspended: Billing) -> None:
    for key in range(101):
        assert (await pay(suspended, f"key-{key}", amount="9999999999.99")).status == 201
    account = (await suspended.get("/v1/phone-accounts/0001")).body
    assert account["balance"] == "1009999999909.82"
    assert (await suspended.get("/v1/phone-accounts")).body["items"] == [account]
    statement = (await suspended.get("/v1/phone-accounts/0001/statement", to="2027-03-01")).body
    assert statement["closing_balance"] == account["balance"]
    refund = await suspended.post(
        "/v1/refunds",
        {"account": "0001", "amount": "9999999999.99", "reason": "Too much"},
        headers={"Idempotency-Key": "back"},
    )
    assert refund.body["credit_left"] == "999999999909.83"
    closed = await suspended.post("/v1/phone-accounts/0001/close")
    assert closed.status == 200, closed


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 201}])
async def test_a_payment_needs_an_idempotency_key(suspended: Billing, headers: dict[str, str]) -> None:
    answer = await suspended.post("/v1/payments", {"account": "0001", "amount": "5.00"}, headers=headers)
    assert answer.status == 422
    assert list(answer.fields()) == ["Idempotency-Key"]

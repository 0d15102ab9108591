"""Credits, refunds, taxes, ledger entries and statements, as a client of the REST API sees them."""

from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.support.billing import Answer, Billing


@pytest_asyncio.fixture
async def billed(billing: Billing) -> Billing:
    """Account 0001 with an unpaid bill of 4.86, which is its fee up to 21 December."""
    await billing.add_account("0001")
    billing.clock.advance(timedelta(days=30))
    answer = await billing.post("/v1/bills/close-due", {})
    assert answer.body["bills"] == ["2026-000001"]
    return billing


async def move(billing: Billing, path: str, amount: str, key: str = "1", **fields: Any) -> Answer:
    body = {"account": "0001", "amount": amount, **fields}
    return await billing.post(path, body, headers={"Idempotency-Key": key})


async def test_a_credit_pays_a_bill_and_the_rest_is_never_paid_out(billed: Billing) -> None:
    credit = await move(billed, "/v1/credits", "10.00", reason="Out of order for a week")
    assert (credit.status, credit.body["settled"]) == (201, ["2026-000001"])
    refund = await move(billed, "/v1/refunds", "0.01", reason="Moved away")
    assert (refund.status, "credits are never paid out" in refund.body["detail"]) == (409, True)
    assert (await billed.get("/v1/phone-accounts/0001")).body["balance"] == "5.14"


async def test_a_payment_pays_a_bill_and_the_rest_can_be_refunded_once(billed: Billing) -> None:
    payment = await move(billed, "/v1/payments", "10.00")
    assert (payment.status, payment.body["settled"]) == (201, ["2026-000001"])
    refund = await move(billed, "/v1/refunds", "5.00", reason="Moved away")
    assert (refund.status, refund.body["credit_left"]) == (201, "0.14")
    again = await move(billed, "/v1/refunds", "5.00", reason="Moved away")
    assert (again.status, again.body) == (201, refund.body)
    too_much = await move(billed, "/v1/refunds", "0.15", "2", reason="Moved away")
    assert too_much.status == 409
    assert "0.14" in too_much.body["detail"]
    account = (await billed.get("/v1/phone-accounts/0001")).body
    assert account["balance"] == "0.14"


@pytest.mark.parametrize("path", ["/v1/credits", "/v1/refunds"])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "-1.00"}, "amount"),
        ({"amount": "0.001"}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"),
        ({"account": "0009"}, "account"),
    ],
)
async def test_money_without_reason_or_sense_is_refused_by_name(
    billed: Billing, path: str, changes: dict[str, Any], field: str
) -> None:
    answer = await billed.post(
        path,
        {"account": "0001", "amount": "1.00", "reason": "Because", **changes},
        headers={"Idempotency-Key": "1"},
    )
    assert (answer.status, list(answer.fields())) == (422, [field])
    assert (await billed.get("/v1/ledger-entries", kind="credit")).body["items"] == []


async def test_the_ledger_is_listed_newest_first_and_can_be_narrowed(billed: Billing) -> None:
    await move(billed, "/v1/payments", "3.00", note="Cash")
    await move(billed, "/v1/credits", "1.00", reason="Sorry")

    async def kinds(**query: Any) -> list[str]:
        answer = await billed.get("/v1/ledger-entries", **query)
        assert answer.status == 200, answer
        return [entry["kind"] for entry in answer.body["items"]]

    assert await kinds() == ["credit", "payment", "charge"]
    assert await kinds(account="0001", kind="payment") == ["payment"]
    assert await kinds(account="0002") == []
    assert await kinds(bill="2026-000001") == ["charge"]
    assert await kinds(to="2026-12-01T00:00:00Z") == []
    first = (await billed.get("/v1/ledger-entries", limit=2)).body
    assert await kinds(limit=2, cursor=first["next_cursor"]) == ["charge"]
    assert first["items"][1] | {"id": 0, "actor": ""} == {
        "id": 0,
        "account": "0001",
        "kind": "payment",
        "amount": "3.00",
        "bill": None,
        "reason": "Cash",
        "actor": "",
        "occurred_at": "2026-12-21T20:00:00.000000Z",
    }


async def test_statements_of_an_account_and_of_its_customer_agree(billed: Billing) -> None:
    customer_id = (await billed.get("/v1/phone-accounts/0001")).body["customer_id"]
    await move(billed, "/v1/payments", "3.00")
    billed.clock.advance(timedelta(days=1))
    await move(billed, "/v1/payments", "9.00", "2")
    account = (await billed.get("/v1/phone-accounts/0001/statement")).body
    assert (account["from"], account["to"], account["opening_balance"]) == (
        "2026-11-21",
        "2026-12-22",
        "0.00",
    )
    assert [(entry["amount"], entry["balance"]) for entry in account["entries"]] == [
        ("-4.86", "-4.86"),
        ("3.00", "-1.86"),
        ("9.00", "7.14"),
    ]
    customer = (await billed.get(f"/v1/customers/{customer_id}/statement")).body
    assert (customer["entries"], customer["closing_balance"]) == (account["entries"], "7.14")
    one_day = {"from": "2026-12-22", "to": "2026-12-22"}
    last = (await billed.get("/v1/phone-accounts/0001/statement", **one_day)).body
    assert (last["opening_balance"], len(last["entries"]), last["closing_balance"]) == ("-1.86", 1, "7.14")
    wrong = await billed.get(
        "/v1/phone-accounts/0001/statement", **{"from": "2026-12-22", "to": "2026-12-21"}
    )
    assert list(wrong.fields()) == ["to"]
    assert (await billed.get("/v1/phone-accounts/0009/statement")).status == 404
    assert (await billed.get("/v1/customers/999/statement")).status == 404


VAT = {"name": "VAT", "percent": "8.1", "on": ["fee", "calls"], "valid_from": "2026-01-01"}


async def test_a_tax_is_on_the_open_bill_at_once_and_ends_on_its_day(billed: Billing) -> None:
    added = await billed.post("/v1/taxes", VAT)
    assert added.status == 201
    assert added.body == {**VAT, "id": added.body["id"], "on": ["calls", "fee"], "valid_to": None}
    open_bill = (await billed.get("/v1/phone-accounts/0001/open-bill")).body
    assert [line["kind"] for line in open_bill["lines"]] == ["fee", "tax"]
    ended = await billed.patch(f"/v1/taxes/{added.body['id']}", {"valid_to": "2027-01-20"})
    assert (ended.status, ended.body["valid_to"]) == (200, "2027-01-20")
    open_bill = (await billed.get("/v1/phone-accounts/0001/open-bill")).body
    assert [line["kind"] for line in open_bill["lines"]] == ["fee"]
    assert [tax["name"] for tax in (await billed.get("/v1/taxes")).body["items"]] == ["VAT"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"percent": "100.1"}, "percent"),
        ({"percent": "-1"}, "percent"),
        ({"percent": "8.12345"}, "percent"),
        ({"percent": 8.1}, "percent"),
        ({"percent": "NaN"}, "percent"),
        ({"on": []}, "on"),
        ({"on": ["everything"]}, "on[0]"),
        ({"name": ""}, "name"),
        ({"valid_from": "2026-02-30"}, "valid_from"),
        ({"valid_from": "0001-01-01"}, "valid_from"),
        ({"valid_to": "2026-01-01"}, "valid_to"),
    ],
)
async def test_a_tax_that_makes_no_sense_is_refused_by_name(
    billing: Billing, changes: dict[str, Any], field: str
) -> None:
    answer = await billing.post("/v1/taxes", {**VAT, **changes})
    assert (answer.status, list(answer.fields())) == (422, [field])


async def test_a_tax_cannot_end_before_it_begins(billing: Billing) -> None:
    tax_id = (await billing.post("/v1/taxes", VAT)).body["id"]
    answer = await billing.patch(f"/v1/taxes/{tax_id}", {"valid_to": "2026-01-01"})
    assert list(answer.fields()) == ["valid_to"]
    assert (await billing.patch("/v1/taxes/999", {"valid_to": None})).status == 404

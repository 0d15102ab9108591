"""Customers over the REST API."""

import asyncio
from typing import Any

import pytest

from tests.support.billing import Billing


async def test_a_customer_is_created_read_and_edited(billing: Billing) -> None:
    created = await billing.post(
        "/v1/customers", {"name": "  Alice Example ", "email": "alice@example.org", "address": "Road 1\nTown"}
    )
    assert created.status == 201
    assert created.body == {
        "id": created.body["id"],
        "name": "Alice Example",
        "email": "alice@example.org",
        "address": "Road 1\nTown",
        "alternative_number": None,
        "locale": None,
        "tax_exempt": False,
        "created_at": "2026-11-21T20:00:00.000000Z",
        "account_count": 0,
    }
    path = f"/v1/customers/{created.body['id']}"
    assert (await billing.get(path)).body == created.body

    edited = await billing.patch(path, {"name": "Alice Sample", "email": None})
    assert edited.status == 200
    assert edited.body == {**created.body, "name": "Alice Sample", "email": None}
    assert (await billing.get(path)).body == edited.body


async def test_customers_are_listed_newest_first_and_in_pages(billing: Billing) -> None:
    ids = [await billing.add_customer(f"Customer {index}") for index in range(5)]
    seen: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = (await billing.get("/v1/customers", limit=2, **cursor)).body
        seen += [customer["id"] for customer in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ids[::-1]
    assert page["next_cursor"] is None


async def test_a_page_that_ends_the_list_exactly_has_no_next(billing: Billing) -> None:
    for index in range(2):
        await billing.add_customer(f"Customer {index}")
    assert (await billing.get("/v1/customers", limit=2)).body["next_cursor"] is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alice", {"Alice 100%"}),
        ("ALICE", {"Alice 100%"}),
        ("example.org", {"Bob_"}),
        ("0042", {"Bob_"}),
        ("%", {"Alice 100%"}),
        ("_", {"Bob_"}),
        ("nobody", set()),
    ],
)
async def test_customers_are_found_by_a_part_of_what_is_known(
    billing: Billing, text: str, found: set[str]
) -> None:
    await billing.post("/v1/customers", {"name": "Alice 100%"})
    bob = await billing.post("/v1/customers", {"name": "Bob_", "email": "bob@example.org"})
    await billing.add_account("0042", customer_id=bob.body["id"])
    answer = await billing.get("/v1/customers", q=text)
    assert {customer["name"] for customer in answer.body["items"]} == found


async def test_the_accounts_of_a_customer_are_counted(billing: Billing) -> None:
    customer = await billing.add_customer()
    plan = await billing.add_plan()
    for number in ("0001", "0002"):
        await billing.add_account(number, customer_id=customer, plan_id=plan)
    assert (await billing.get(f"/v1/customers/{customer}")).body["account_count"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "\u202egpj.exe"}, "name"),
        ({"name": "A", "address": "Street 1\n\u2067Town"}, "address"),
        ({"name": "half \ud83d"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"name": "Alice", "email": "no address"}, "email"),
        ({"name": "Alice", "alternative_number": "+41 44"}, "alternative_number"),
        ({"name": "Alice", "colour": "blue"}, "colour"),
    ],
)
async def test_a_wrong_field_is_named(billing: Billing, body: dict[str, object], field: str) -> None:
    answer = await billing.post("/v1/customers", body)
    assert answer.status == 422
    assert set(answer.fields()) == {field}
    assert (await billing.get("/v1/customers")).body["items"] == []


async def test_every_wrong_field_is_named_at_once(billing: Billing) -> None:
    answer = await billing.post("/v1/customers", {"name": "", "email": "x", "shoe_size": 43})
    assert set(answer.fields()) == {"name", "email", "shoe_size"}


async def test_an_edit_cannot_take_the_name_away(billing: Billing) -> None:
    customer = await billing.add_customer("Alice")
    assert (await billing.patch(f"/v1/customers/{customer}", {"name": ""})).status == 422
    assert (await billing.get(f"/v1/customers/{customer}")).body["name"] == "Alice"


@pytest.mark.parametrize("customer", ["99", "999999999999999999", "0"])
async def test_an_unknown_customer_is_not_found(billing: Billing, customer: str) -> None:
    assert (await billing.get(f"/v1/customers/{customer}")).status == 404
    assert (await billing.patch(f"/v1/customers/{customer}", {"name": "X"})).status == 404


async def test_what_somebody_else_has_changed_is_not_overwritten(billing: Billing) -> None:
    customer = f"/v1/customers/{await billing.add_customer('Alice')}"
    ann, bob = await billing.acting_as("ann"), await billing.acting_as("bob")
    seen = (await billing.get(customer)).headers["ETag"]

    first = await billing.patch(customer, {"name": "Alice A."}, headers={**ann, "If-Match": seen})
    second = await billing.patch(customer, {"name": "Alice B."}, headers={**bob, "If-Match": seen})
    assert (first.status, second.status) == (200, 412)
    assert (await billing.get(customer)).body["name"] == "Alice A."

    read_again = (await billing.get(customer)).headers["ETag"]
    assert read_again == first.headers["ETag"] != seen
    third = await billing.patch(customer, {"name": "Alice B."}, headers={**bob, "If-Match": read_again})
    assert (third.status, third.body["name"]) == (200, "Alice B.")


async def test_of_two_edits_at_once_from_the_same_reading_one_is_refused(billing: Billing) -> None:
    customer = f"/v1/customers/{await billing.add_customer('Alice')}"
    seen = {"If-Match": (await billing.get(customer)).headers["ETag"]}
    answers = await asyncio.gather(
        *(billing.patch(customer, {"name": f"Alice {n}"}, headers=seen) for n in range(5))
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]


async def test_an_edit_that_changes_nothing_leaves_what_others_have_read_in_force(billing: Billing) -> None:
    customer = f"/v1/customers/{await billing.add_customer('Alice')}"
    seen = (await billing.get(customer)).headers["ETag"]
    assert (await billing.patch(customer, {"name": "Alice"})).headers["ETag"] == seen


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ('"1"', 200),
        ('"9", "1"', 200),
        ("*", 200),
        ('"9"', 412),
        ('W/"1"', 412),
        ('""', 412),
        ("1", 422),
        ("", 422),
        ('"1', 422),
        ('"1" "2"', 422),
        ('"' + "9" * 5000 + '"', 412),
    ],
)
async def test_what_if_match_may_say(billing: Billing, if_match: str, status: int) -> None:
    customer = f"/v1/customers/{await billing.add_customer('Alice')}"
    answer = await billing.patch(customer, {"name": "New"}, headers={"If-Match": if_match})
    assert answer.status == status


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/v1/customers/1", {"name": "New"}),
        ("/v1/phone-accounts/0001", {"display_name": "New"}),
        ("/v1/plans/1", {"name": "New"}),
        ("/v1/plans/1", {"monthly_fee": "6.00"}),
        ("/v1/plans/1", {"active": False}),
        ("/v1/settings", {"ring_time_s": 30}),
        ("/v1/administrators/ann", {"name": "New"}),
    ],
)
async def test_an_administrators_edit_says_what_it_changes(
    billing: Billing, path: str, change: dict[str, Any]
) -> None:
    await billing.add_account("0001")
    ann = await billing.acting_as("ann")
    assert (await billing.patch(path, change, headers=ann)).status == 428
    seen = (await billing.get(path)).headers["ETag"]
    done = await billing.patch(path, change, headers={**ann, "If-Match": seen})
    assert done.status == 200
    assert done.headers["ETag"] == (await billing.get(path)).headers["ETag"] != seen
    assert (await billing.patch(path, change, headers={**ann, "If-Match": seen})).status == 412


async def test_an_edit_is_in_the_audit_log_with_what_it_was_before(billing: Billing) -> None:
    customer = await billing.add_customer("Alice")
    await billing.patch(f"/v1/customers/{customer}", {"name": "Bob", "email": None, "tax_exempt": True})
    entry = (await billing.get("/v1/audit-log", subject_kind="customer", subject=customer)).body["items"][0]
    assert (entry["actor"], entry["action"]) == ("service", "edit")
    assert entry["previous"] == {"name": "Alice", "tax_exempt": False}
    assert entry["changes"] == {"name": "Bob", "tax_exempt": True}
    assert (await billing.get("/v1/audit-log", actor="nobody")).body["items"] == []

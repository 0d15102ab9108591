"""Phone accounts over the REST API."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from billing_service.storage.tables import AccountPlanHistory, AccountStateHistory, AuditEntry, PhoneAccount
from tests.support.billing import REALM, START, Billing, MakeBilling


async def histories(billing: Billing) -> list[tuple[str, datetime, datetime | None, str]]:
    rows = await billing.database.run(
        lambda session: session.scalars(select(AccountStateHistory).order_by(AccountStateHistory.id)).all()
    )
    return [(row.state, row.valid_from, row.valid_to, row.actor) for row in rows]


async def test_an_account_is_opened_with_everything_at_its_default(billing: Billing) -> None:
    customer, plan = await billing.add_customer("Alice Example"), await billing.add_plan("Flat")
    answer = await billing.post(
        "/v1/phone-accounts", {"customer_id": customer, "number": "0001", "plan_id": plan}
    )
    assert answer.status == 201
    password = answer.body.pop("sip_password")
    assert len(password) == 16
    assert password.isalnum()
    assert answer.body == {
        "number": "0001",
        "customer_id": customer,
        "customer_name": "Alice Example",
        "display_name": "Alice Example",
        "state": "active",
        "plan_id": plan,
        "plan_name": "Flat",
        "billing_day": 21,
        "opened_at": "2026-11-21T20:00:00.000000Z",
        "closed_at": None,
        "call_limit": None,
        "outgoing_filter": [],
        "incoming_filter": [],
        "block_list": [],
        "balance": "0.00",
        "unpaid_bills": 0,
    }
    assert (await billing.get("/v1/phone-accounts/0001")).body == answer.body


async def test_the_billing_day_is_the_local_day_of_opening(make_billing: MakeBilling) -> None:
    billing = await make_billing(timezone=ZoneInfo("Pacific/Auckland"))
    account = await billing.add_account("0001")
    assert account["billing_day"] == 22  # already Sunday there
    row = await billing.database.run(lambda session: session.scalars(select(PhoneAccount)).one())
    assert row.period_start == START
    assert row.period_end == datetime(2026, 12, 21, 11, tzinfo=UTC)  # the 22nd, 00:00 there


async def test_the_password_is_kept_only_as_hashes(billing: Billing) -> None:
    account = await billing.add_account("0001")
    password = account["sip_password"]
    row = await billing.database.run(lambda session: session.scalars(select(PhoneAccount)).one())
    assert row.ha1_md5 == hashlib.md5(f"0001:{REALM}:{password}".encode()).hexdigest()
    assert row.ha1_sha256 == hashlib.sha256(f"0001:{REALM}:{password}".encode()).hexdigest()
    assert password not in repr(vars(row))
    audit = await billing.database.run(lambda session: session.scalars(select(AuditEntry)).all())
    assert not any(password in repr(entry.changes) for entry in audit)
    assert "sip_password" not in (await billing.get("/v1/phone-accounts/0001")).body


async def test_a_password_of_ones_own_and_a_new_one(billing: Billing) -> None:
    account = await billing.add_account("0001", sip_password="correct horse")
    assert account["sip_password"] == "correct horse"

    drawn = await billing.post("/v1/phone-accounts/0001/sip-password", {"sip_password": None})
    chosen = await billing.post("/v1/phone-accounts/0001/sip-password", {"sip_password": "battery staple"})

    assert len(drawn.body["sip_password"]) == 16
    assert chosen.body == {"sip_password": "battery staple"}
    row = await billing.database.run(lambda session: session.scalars(select(PhoneAccount)).one())
    assert row.ha1_md5 == hashlib.md5(f"0001:{REALM}:battery staple".encode()).hexdigest()


async def test_a_pattern_draws_a_free_number(billing: Billing) -> None:
    customer, plan = await billing.add_customer(), await billing.add_plan()
    drawn = [
        (await billing.add_account("7#", customer_id=customer, plan_id=plan))["number"] for _ in range(10)
    ]
    assert sorted(drawn) == [f"7{digit}" for digit in range(10)]
    full = await billing.post(
        "/v1/phone-accounts", {"customer_id": customer, "number": "7#", "plan_id": plan}
    )
    assert full.status == 409
    assert full.body["detail"] == "No number is free that fits 7#."


async def test_numbers_are_drawn_by_chance_and_never_one_for_emergencies(billing: Billing) -> None:
    customer, plan = await billing.add_customer(), await billing.add_plan()
    numbers = {
        (await billing.add_account("######", customer_id=customer, plan_id=plan))["number"] for _ in range(4)
    }
    assert numbers != {"000000", "000001", "000002", "000003"}
    await billing.patch("/v1/settings", {"emergency_numbers": ["7" + str(digit) for digit in range(9)]})
    assert (await billing.add_account("7#", customer_id=customer, plan_id=plan))["number"] == "79"
    wish = {"customer_id": customer, "number": "7#", "plan_id": plan}
    assert (await billing.post("/v1/phone-accounts", wish)).status == 409


async def test_numbers_drawn_at_once_are_all_different(billing: Billing) -> None:
    customer, plan = await billing.add_customer(), await billing.add_plan()
    wish = {"customer_id": customer, "number": "8#", "plan_id": plan}
    answers = await asyncio.gather(*(billing.post("/v1/phone-accounts", wish) for _ in range(12)))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [409] * 2
    numbers = [answer.body["number"] for answer in answers if answer.status == 201]
    assert len(set(numbers)) == 10


async def test_a_number_wanted_by_many_goes_to_one(billing: Billing) -> None:
    customer, plan = await billing.add_customer(), await billing.add_plan()
    wish = {"customer_id": customer, "number": "0001", "plan_id": plan}
    answers = await asyncio.gather(*(billing.post("/v1/phone-accounts", wish) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 5


async def test_accounts_are_listed_by_number_filtered_and_in_pages(billing: Billing) -> None:
    alice, bob = await billing.add_customer("Alice"), await billing.add_customer("Bob")
    plan = await billing.add_plan()
    for number, customer in (("0003", alice), ("0001", alice), ("02", bob)):
        await billing.add_account(number, customer_id=customer, plan_id=plan, display_name=f"Desk {number}")
    await billing.post("/v1/phone-accounts/0003/suspend")

    async def found(**query: Any) -> list[str]:
        items = (await billing.get("/v1/phone-accounts", **query)).body["items"]
        return [account["number"] for account in items]

    assert await found() == ["0001", "0003", "02"]
    assert await found(customer_id=alice) == ["0001", "0003"]
    assert await found(state="suspended") == ["0003"]
    assert await found(q="bob") == ["02"]
    assert await found(q="desk 0") == ["0001", "0003", "02"]
    assert await found(q="000", state="active") == ["0001"]
    first = (await billing.get("/v1/phone-accounts", limit=2)).body
    assert await found(limit=2, cursor=first["next_cursor"]) == ["02"]


async def test_the_rules_of_an_account_are_edited_one_by_one(billing: Billing) -> None:
    await billing.add_account("0001", call_limit=3, block_list=["0002"])
    changed = await billing.patch(
        "/v1/phone-accounts/0001",
        {"outgoing_filter": [{"pattern": "00*", "action": "deny"}], "call_limit": None, "billing_day": 31},
    )
    assert changed.status == 200
    assert changed.body["outgoing_filter"] == [{"pattern": "00*", "action": "deny"}]
    assert changed.body["call_limit"] is None
    assert changed.body["billing_day"] == 31
    assert changed.body["block_list"] == ["0002"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"number": ""}, "number"),
        ({"number": "12a"}, "number"),
        ({"number": "+1234"}, "number"),
        ({"number": "1" * 16}, "number"),
        ({"number": "#" * 7}, "number"),
        ({"number": "١٢"}, "number"),
        ({"number": 1234}, "number"),
        ({"customer_id": 99}, "customer_id"),
        ({"customer_id": "1"}, "customer_id"),
        ({"customer_id": 2**63}, "customer_id"),
        ({"customer_id": True}, "customer_id"),
        ({"plan_id": 99}, "plan_id"),
        ({"plan_id": 1.5}, "plan_id"),
        ({"billing_day": 0}, "billing_day"),
        ({"billing_day": 32}, "billing_day"),
        ({"call_limit": -1}, "call_limit"),
        ({"sip_password": "short"}, "sip_password"),
        ({"sip_password": "with ümlaut"}, "sip_password"),
        ({"block_list": ["x"]}, "block_list[0]"),
        ({"block_list": "0001"}, "block_list"),
        ({"outgoing_filter": [{"pattern": "1*2", "action": "deny"}]}, "outgoing_filter[0].pattern"),
        ({"outgoing_filter": [{"pattern": "1", "action": "maybe"}]}, "outgoing_filter[0].action"),
        ({"incoming_filter": [{"pattern": "1"}]}, "incoming_filter[0].action"),
        ({"state": "active"}, "state"),
        ({"display_name": "x" * 201}, "display_name"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_opened(
    billing: Billing, fields: dict[str, Any], wrong: str
) -> None:
    customer, plan = await billing.add_customer(), await billing.add_plan()
    answer = await billing.post(
        "/v1/phone-accounts", {"customer_id": customer, "plan_id": plan, "number": "0001", **fields}
    )
    assert answer.status == 422
    assert set(answer.fields()) == {wrong}
    assert (await billing.get("/v1/phone-accounts")).body["items"] == []


async def test_suspending_reactivating_and_closing_leave_their_history(billing: Billing) -> None:
    await billing.add_account("0001")
    headers = await billing.acting_as("bob")
    at = []
    for action, state in (("suspend", "suspended"), ("reactivate", "active"), ("close", "closed")):
        billing.clock.advance(timedelta(hours=1))
        at.append(billing.clock.at)
        answer = await billing.post(f"/v1/phone-accounts/0001/{action}", headers=headers)
        assert (answer.status, answer.body["state"]) == (200, state)
    assert answer.body["closed_at"] == "2026-11-21T23:00:00.000000Z"
    assert await histories(billing) == [
        ("active", START, at[0], "service"),
        ("suspended", at[0], at[1], "bob"),
        ("active", at[1], at[2], "bob"),
        ("closed", at[2], None, "bob"),
    ]


async def test_what_the_state_does_not_allow_is_a_conflict(billing: Billing) -> None:
    await billing.add_account("0001")
    path = "/v1/phone-accounts/0001"
    assert (await billing.post(f"{path}/reactivate")).status == 409
    assert (await billing.post(f"{path}/suspend")).status == 200
    assert (await billing.post(f"{path}/suspend")).status == 409
    assert (await billing.post(f"{path}/close")).status == 200
    for action in ("suspend", "reactivate", "close"):
        answer = await billing.post(f"{path}/{action}")
        assert (answer.status, answer.body["detail"]) == (409, "The account 0001 is closed.")
    assert (await billing.patch(path, {"call_limit": 1})).status == 409
    assert (await billing.post(f"{path}/sip-password", {})).status == 409
    assert (await billing.post(f"{path}/plan", {"plan_id": 1})).status == 409


async def test_changes_in_one_instant_keep_only_the_last(billing: Billing) -> None:
    await billing.add_account("0001")
    billing.clock.advance(timedelta(minutes=1))
    await billing.post("/v1/phone-accounts/0001/suspend")
    await billing.post("/v1/phone-accounts/0001/reactivate")
    assert [(state, since) for state, since, _, _ in await histories(billing)] == [
        ("active", START),
        ("active", START + timedelta(minutes=1)),
    ]


async def test_another_plan_is_in_force_from_the_instant_wanted(billing: Billing) -> None:
    first, second = await billing.add_plan("First"), await billing.add_plan("Second")
    await billing.add_account("0001", plan_id=first)
    later = "2026-11-25T00:00:00Z"

    answer = await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": second, "from": later})
    assert (answer.status, answer.body["plan_name"]) == (200, "First")
    billing.clock.at = datetime(2026, 11, 25, tzinfo=UTC)
    assert (await billing.get("/v1/phone-accounts/0001")).body["plan_name"] == "Second"
    assert (await billing.get(f"/v1/plans/{second}")).body["account_count"] == 1
    assert (await billing.get(f"/v1/plans/{first}")).body["account_count"] == 0

    billing.clock.advance(timedelta(days=1))
    back = await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": first, "from": None})
    assert back.body["plan_name"] == "First"
    rows = await billing.database.run(
        lambda session: session.scalars(
            select(AccountPlanHistory).order_by(AccountPlanHistory.valid_from)
        ).all()
    )
    assert [(row.valid_from, row.valid_to) for row in rows] == [
        (START, datetime(2026, 11, 25, tzinfo=UTC)),
        (datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)),
        (datetime(2026, 11, 26, tzinfo=UTC), None),
    ]


async def test_a_plan_cannot_be_changed_in_time_that_is_billed(billing: Billing) -> None:
    plan = await billing.add_plan()
    await billing.add_account("0001")
    answer = await billing.post(
        "/v1/phone-accounts/0001/plan", {"plan_id": plan, "from": "2026-11-01T00:00:00Z"}
    )
    assert (answer.status, set(answer.fields())) == (422, {"from"})


async def test_a_plan_that_is_closed_to_new_accounts_takes_none(billing: Billing) -> None:
    await billing.add_account("0001")
    plan = await billing.add_plan("Old")
    await billing.patch(f"/v1/plans/{plan}", {"active": False})
    opened = await billing.post("/v1/phone-accounts", {"customer_id": 1, "number": "0002", "plan_id": plan})
    changed = await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": plan})
    assert (opened.status, changed.status) == (409, 409)


@pytest.mark.parametrize("action", ["suspend", "reactivate", "close", "plan", "sip-password"])
async def test_an_unknown_account_is_not_found(billing: Billing, action: str) -> None:
    body = {"plan_id": await billing.add_plan()} if action == "plan" else {}
    assert (await billing.post(f"/v1/phone-accounts/0404/{action}", body)).status == 404
    assert (await billing.get("/v1/phone-accounts/0404")).status == 404
    assert (await billing.patch("/v1/phone-accounts/0404", {})).status == 404


async def test_every_change_is_in_the_audit_log_with_its_actor(billing: Billing) -> None:
    await billing.add_account("0001")
    headers = await billing.acting_as("carol")
    seen = {**headers, "If-Match": "*"}
    await billing.patch("/v1/phone-accounts/0001", {"call_limit": 1}, headers=seen)
    await billing.post("/v1/phone-accounts/0001/sip-password", {}, headers=headers)
    await billing.post("/v1/phone-accounts/0001/suspend", headers=headers)
    await billing.patch("/v1/settings", {"ring_time_s": 20}, headers=seen)
    entries = await billing.database.run(
        lambda session: session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    )
    assert [
        (entry.action, entry.subject_kind, entry.subject) for entry in entries if entry.actor == "carol"
    ] == [
        ("edit", "account", "0001"),
        ("set_sip_password", "account", "0001"),
        ("suspend", "account", "0001"),
        ("edit", "settings", "system"),
    ]
    first = next(entry for entry in entries if entry.actor == "carol")
    assert (first.previous, first.changes) == ({"call_limit": None}, {"call_limit": 1})


async def test_a_refused_change_leaves_no_trace_in_the_audit_log(billing: Billing) -> None:
    await billing.add_account("0001")
    before = await billing.database.run(lambda session: len(session.scalars(select(AuditEntry)).all()))
    await billing.post("/v1/phone-accounts/0001/reactivate")
    after = await billing.database.run(lambda session: len(session.scalars(select(AuditEntry)).all()))
    assert after == before


async def test_accounts_are_found_by_plan_and_by_what_they_owe(billing: Billing) -> None:
    first, second = await billing.add_plan("First"), await billing.add_plan("Second")
    for number, plan in (("0001", first), ("0002", second), ("0003", first)):
        await billing.add_account(number, plan_id=plan)
    await billing.post("/v1/phone-accounts/0003/plan", {"plan_id": second, "from": None})
    await billing.close_ahead("2026-12-22T00:00:00Z")
    payment = {"account": "0002", "amount": "5.00"}
    assert (await billing.post("/v1/payments", payment, headers={"Idempotency-Key": "1"})).status == 201

    async def found(**query: Any) -> list[str]:
        items = (await billing.get("/v1/phone-accounts", **query)).body["items"]
        return [item["number"] for item in items]

    assert await found(plan_id=first) == ["0001"]
    assert await found(plan_id=second) == ["0002", "0003"]
    assert await found(plan_id=404) == []
    assert await found(unpaid="true") == ["0001", "0003"]
    assert await found(unpaid="false") == ["0002"]
    assert await found(plan_id=second, unpaid="true") == ["0003"]

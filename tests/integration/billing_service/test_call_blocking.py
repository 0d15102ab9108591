"""Call blocking only where the plan permits it: what is refused, and what the exchange is told."""

import asyncio
from datetime import timedelta

from billing_service.jobs.plan_changes import follow_plan_changes
from billing_service.storage.call_blocking import refresh_blocking
from tests.support.billing import Billing


async def told_to_block(billing: Billing, number: str = "0001") -> list[str]:
    directory = (await billing.get("/internal/v1/directory", since=0)).body
    (found,) = [account for account in directory["accounts"] if account["number"] == number]
    blocked: list[str] = found["block_list"]
    return blocked


async def test_an_account_with_such_a_plan_gets_no_block_list(billing: Billing) -> None:
    plan = await billing.add_plan(permits_blocking=False)
    wish = {"number": "0001", "customer_id": await billing.add_customer(), "plan_id": plan}
    refused = await billing.post("/v1/phone-accounts", {**wish, "block_list": ["0003"]})
    assert (refused.status, "permit" in refused.body["detail"]) == (409, True)
    assert (await billing.post("/v1/phone-accounts", wish)).status == 201
    refused = await billing.patch("/v1/phone-accounts/0001", {"block_list": ["0003"]})
    assert (refused.status, "permit" in refused.body["detail"]) == (409, True)
    assert (await billing.patch("/v1/phone-accounts/0001", {"block_list": []})).status == 200


async def test_a_plan_change_takes_the_block_list_from_the_exchange_and_gives_it_back(
    billing: Billing,
) -> None:
    await billing.add_account("0001", block_list=["0003"])
    strict = await billing.add_plan("Strict", permits_blocking=False)
    lenient = await billing.add_plan("Lenient")
    assert await told_to_block(billing) == ["0003"]
    await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": strict, "from": None})
    assert await told_to_block(billing) == []
    # It is kept, may stay as it is and be shortened, but not grow.
    assert (await billing.get("/v1/phone-accounts/0001")).body["block_list"] == ["0003"]
    assert (await billing.patch("/v1/phone-accounts/0001", {"block_list": ["0003"]})).status == 200
    assert (await billing.patch("/v1/phone-accounts/0001", {"block_list": ["0003", "0004"]})).status == 409
    billing.clock.advance(timedelta(hours=1))
    await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": lenient, "from": None})
    assert await told_to_block(billing) == ["0003"]


async def test_an_edit_of_the_plan_is_in_force_for_its_accounts_at_once(billing: Billing) -> None:
    account = await billing.add_account("0001", block_list=["0003"])
    other = await billing.add_account("0002", block_list=["0003"])
    before = (await billing.get("/internal/v1/directory", since=0)).body["version"]
    billing.clock.advance(timedelta(hours=1))
    await billing.patch(f"/v1/plans/{account['plan_id']}", {"permits_blocking": False})
    changes = (await billing.get("/internal/v1/directory", since=before)).body
    assert [(changed["number"], changed["block_list"]) for changed in changes["accounts"]] == [("0001", [])]
    assert other["number"] == "0002"
    assert await told_to_block(billing, "0002") == ["0003"]


async def test_a_change_ordered_for_later_counts_when_it_comes_into_force(billing: Billing) -> None:
    await billing.add_account("0001", block_list=["0003"])
    strict = await billing.add_plan("Strict", permits_blocking=False)
    start = billing.clock() + timedelta(days=3)
    await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": strict, "from": start.isoformat()})
    assert await told_to_block(billing) == ["0003"]

    async def look(since: timedelta) -> int:
        now = billing.clock()
        return await billing.database.run(
            lambda session: refresh_blocking(session, at=now, since=now - since)
        )

    assert await look(timedelta(minutes=1)) == 0
    billing.clock.advance(timedelta(days=3))
    assert await look(timedelta(minutes=1)) == 1
    assert await told_to_block(billing) == []
    assert await look(timedelta(minutes=1)) == 0


async def test_the_service_follows_such_changes_by_itself(billing: Billing) -> None:
    await billing.add_account("0001", block_list=["0003"])
    strict = await billing.add_plan("Strict", permits_blocking=False)
    start = billing.clock() + timedelta(days=3)
    await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": strict, "from": start.isoformat()})
    following = asyncio.create_task(follow_plan_changes(billing.database, now=billing.clock, interval_s=0.02))
    try:
        for days, expected in ((1, ["0003"]), (2, [])):
            billing.clock.advance(timedelta(days=days))
            async with asyncio.timeout(20):
                while await told_to_block(billing) != expected:
                    await asyncio.sleep(0.02)
    finally:
        following.cancel()
        await asyncio.wait([following])
    assert following.cancelled()


async def test_a_retired_plan_stays_with_its_accounts_and_goes_to_no_other(billing: Billing) -> None:
    retired = await billing.add_plan("Retired", monthly_fee="7.00")
    await billing.add_account("0001", plan_id=retired)
    await billing.add_account("0002")
    await billing.patch(f"/v1/plans/{retired}", {"active": False})
    wish = {"number": "0003", "customer_id": await billing.add_customer(), "plan_id": retired}
    assert (await billing.post("/v1/phone-accounts", wish)).status == 409
    for start in (None, "2026-12-01T00:00:00Z"):
        moved = await billing.post("/v1/phone-accounts/0002/plan", {"plan_id": retired, "from": start})
        assert moved.status == 409
    # Its terms may still be changed for those who have it.
    assert (await billing.patch(f"/v1/plans/{retired}", {"monthly_fee": "8.00"})).body["version"] == 2
    account = (await billing.get("/v1/phone-accounts/0001")).body
    assert (account["plan_name"], account["state"]) == ("Retired", "active")
    open_bill = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    assert open_bill["state"] == "open"

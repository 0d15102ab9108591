"""Billing plans over the REST API."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from billing_service.domain.money import Currency
from billing_service.storage.tables import AccountPlanHistory, PlanVersion
from tests.support.billing import Billing, MakeBilling

EVENING = {
    "name": "Evening",
    "monthly_fee": "5.00",
    "base_price": {
        "standing_charge": "0.36",
        "per_minute": "0.09",
        "initial_increment_s": 60,
        "next_increment_s": 60,
        "counting": "completed",
        "windows": [{"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0.00"}],
    },
    "tariffs": [
        {
            "source_prefix": "",
            "destination_prefix": "0041",
            "valid_from": "2026-01-01T00:00:00.000000Z",
            "valid_to": None,
            "description": "Switzerland",
            "price": {
                "standing_charge": "0.00",
                "per_minute": "0.125",
                "initial_increment_s": 30,
                "next_increment_s": 6,
                "counting": "started",
                "windows": [],
            },
        }
    ],
    "included_minutes": 100,
    "included_prefixes": ["00", "5"],
    "permits_blocking": False,
}


async def test_a_plan_is_created_and_read_as_it_was_sent(billing: Billing) -> None:
    created = await billing.post("/v1/plans", EVENING)
    assert created.status == 201
    assert created.body == {
        **EVENING,
        "id": created.body["id"],
        "version": 1,
        "tariff_count": 1,
        "active": True,
        "account_count": 0,
        "created_at": "2026-11-21T20:00:00.000000Z",
    }
    assert (await billing.get(f"/v1/plans/{created.body['id']}")).body == created.body


async def test_an_edit_makes_a_new_version_and_leaves_the_old_as_it_was(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", EVENING)).body["id"]
    billing.clock.advance(timedelta(hours=1))
    edited = await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "6.50"})
    assert edited.status == 200
    assert (edited.body["version"], edited.body["monthly_fee"]) == (2, "6.50")
    assert edited.body["base_price"] == EVENING["base_price"]
    assert edited.body["tariffs"] == EVENING["tariffs"]
    versions = await billing.database.run(
        lambda session: session.scalars(select(PlanVersion).order_by(PlanVersion.version)).all()
    )
    assert [(version.version, str(version.monthly_fee)) for version in versions] == [
        (1, "5.000000"),
        (2, "6.500000"),
    ]


@pytest.mark.parametrize("same", [{}, {"monthly_fee": "5"}, {"base_price": EVENING["base_price"]}])
async def test_an_edit_that_changes_nothing_makes_no_version(billing: Billing, same: dict[str, Any]) -> None:
    plan = (await billing.post("/v1/plans", EVENING)).body["id"]
    assert (await billing.patch(f"/v1/plans/{plan}", same)).body["version"] == 1


async def test_a_new_name_or_a_closed_plan_is_no_new_version(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", EVENING)).body["id"]
    answer = await billing.patch(f"/v1/plans/{plan}", {"name": "Night", "active": False})
    assert (answer.body["name"], answer.body["active"], answer.body["version"]) == ("Night", False, 1)
    assert (await billing.patch(f"/v1/plans/{plan}", {"active": True})).body["active"] is True


async def test_tariffs_are_replaced_as_a_whole(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", EVENING)).body["id"]
    tariffs = [{**EVENING["tariffs"][0], "destination_prefix": "0049"}]  # type: ignore[index]
    assert (await billing.patch(f"/v1/plans/{plan}", {"tariffs": tariffs})).body["tariffs"] == tariffs
    assert (await billing.patch(f"/v1/plans/{plan}", {"tariffs": []})).body["tariffs"] == []


async def test_a_new_version_is_in_force_at_once_for_every_account_of_the_plan(billing: Billing) -> None:
    plan, other = await billing.add_plan("Flat"), await billing.add_plan("Other")
    for number, own in (("0001", plan), ("0002", plan), ("0003", other)):
        await billing.add_account(number, plan_id=own, customer_id=await billing.add_customer(number))
    # 0002 has ordered another plan for later, and 0003 has ordered this one.
    await billing.post("/v1/phone-accounts/0002/plan", {"plan_id": other, "from": "2026-12-01T00:00:00Z"})
    await billing.post("/v1/phone-accounts/0003/plan", {"plan_id": plan, "from": "2026-12-01T00:00:00Z"})
    billing.clock.advance(timedelta(days=1))
    await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "9.00"})

    rows = await billing.database.run(
        lambda session: [
            (
                row.account_id,
                plan_id,
                version,
                f"{row.valid_from:%d}",
                f"{row.valid_to:%d}" if row.valid_to else "",
            )
            for row, plan_id, version in session.execute(
                select(AccountPlanHistory, PlanVersion.plan_id, PlanVersion.version)
                .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
                .order_by(AccountPlanHistory.account_id, AccountPlanHistory.valid_from)
            )
        ]
    )
    assert rows == [
        (1, plan, 1, "21", "22"),
        (1, plan, 2, "22", ""),
        (2, plan, 1, "21", "22"),
        (2, plan, 2, "22", "01"),
        (2, other, 1, "01", ""),
        (3, other, 1, "21", "01"),
        (3, plan, 2, "01", ""),
    ]


async def test_plans_are_listed_by_name_in_pages_with_their_accounts(billing: Billing) -> None:
    for name in ("Flat", "Evening", "Weekend"):
        await billing.add_plan(name)
    await billing.add_account("0001", plan_id=1, customer_id=await billing.add_customer())
    first = (await billing.get("/v1/plans", limit=2)).body
    second = (await billing.get("/v1/plans", limit=2, cursor=first["next_cursor"])).body
    found = [(plan["name"], plan["account_count"]) for plan in first["items"] + second["items"]]
    assert found == [("Evening", 0), ("Flat", 1), ("Weekend", 0)]
    assert second["next_cursor"] is None


async def test_two_plans_cannot_have_the_same_name(billing: Billing) -> None:
    await billing.add_plan("Flat")
    other = await billing.add_plan("Other")
    assert (await billing.post("/v1/plans", {**EVENING, "name": "FLAT"})).status == 409
    assert (await billing.patch(f"/v1/plans/{other}", {"name": "flat"})).status == 409
    assert (await billing.patch(f"/v1/plans/{other}", {"name": "OTHER"})).status == 200


def price(**fields: Any) -> dict[str, Any]:
    return {"base_price": {"per_minute": "0.10", **fields}}


def window(**fields: Any) -> dict[str, Any]:
    return price(windows=[{"weekday": None, "from": "08:00", "to": "12:00", "per_minute": "0.05", **fields}])


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"monthly_fee": "-1"}, "monthly_fee"),
        ({"monthly_fee": 5}, "monthly_fee"),
        ({"monthly_fee": 5.5}, "monthly_fee"),
        ({"monthly_fee": "NaN"}, "monthly_fee"),
        ({"monthly_fee": "Infinity"}, "monthly_fee"),
        ({"monthly_fee": "1e999999999"}, "monthly_fee"),
        ({"monthly_fee": "0.0000001"}, "monthly_fee"),
        ({"monthly_fee": "1000000000000"}, "monthly_fee"),
        ({"monthly_fee": "10000000000"}, "monthly_fee"),
        ({"monthly_fee": "٥"}, "monthly_fee"),
        ({"base_price": None}, "base_price"),
        ({"base_price": {}}, "base_price.per_minute"),
        (price(per_minute="free"), "base_price.per_minute"),
        (price(per_minute="-0.10"), "base_price.per_minute"),
        (price(standing_charge="1" * 29), "base_price.standing_charge"),
        (price(standing_charge="10000000"), "base_price.standing_charge"),
        (window(per_minute="10000000"), "base_price.windows[0].per_minute"),
        (price(initial_increment_s=0), "base_price.initial_increment_s"),
        (price(next_increment_s=10**40), "base_price.next_increment_s"),
        (price(counting="both"), "base_price.counting"),
        (window(**{"from": "24:00"}), "base_price.windows[0].from"),
        (window(to="8 o'clock"), "base_price.windows[0].to"),
        (window(weekday="someday"), "base_price.windows[0].weekday"),
        (window(colour="blue"), "base_price.windows[0].colour"),
        (
            {"tariffs": [{"destination_prefix": "00x", "price": {"per_minute": "1"}}]},
            "tariffs[0].destination_prefix",
        ),
        (
            {"tariffs": [{"destination_prefix": "1", "price": {"per_minute": "-1"}}]},
            "tariffs[0].price.per_minute",
        ),
        (
            {"tariffs": [{"destination_prefix": "1", "price": {"per_minute": "10000000"}}]},
            "tariffs[0].price.per_minute",
        ),
        ({"tariffs": [{"price": {"per_minute": "1"}}] * 2}, "tariffs[1]"),
        (
            {
                "tariffs": [
                    {
                        "valid_from": "2026-02-01T00:00:00Z",
                        "valid_to": "2026-01-01T00:00:00Z",
                        "price": {"per_minute": "1"},
                    }
                ]
            },
            "tariffs[0].valid_to",
        ),
        (
            {"tariffs": [{"valid_from": "2026-02-30T00:00:00Z", "price": {"per_minute": "1"}}]},
            "tariffs[0].valid_from",
        ),
        ({"tariffs": {}}, "tariffs"),
        ({"version": 7}, "version"),
    ],
)
async def test_a_wrong_field_is_named_with_its_path(
    billing: Billing, fields: dict[str, Any], wrong: str
) -> None:
    plan = {"name": "Plan", "monthly_fee": "5.00", "base_price": {"per_minute": "0.10"}, **fields}
    created = await billing.post("/v1/plans", plan)
    assert (created.status, set(created.fields())) == (422, {wrong})
    assert (await billing.get("/v1/plans")).body["items"] == []

    existing = await billing.add_plan("Existing")
    edited = await billing.patch(f"/v1/plans/{existing}", fields)
    assert (edited.status, set(edited.fields())) == (422, {wrong})
    assert (await billing.get(f"/v1/plans/{existing}")).body["version"] == 1


async def test_overlapping_windows_are_refused(billing: Billing) -> None:
    hours = [("08:00", "12:00"), ("11:59", "13:00")]
    windows = [{"weekday": None, "from": start, "to": end, "per_minute": "0"} for start, end in hours]
    answer = await billing.post("/v1/plans", {"name": "Plan", **price(windows=windows)})
    assert (answer.status, set(answer.fields())) == (422, {"base_price.windows[1]"})


@pytest.mark.parametrize("plan", ["99", "999999999999999999"])
async def test_an_unknown_plan_is_not_found(billing: Billing, plan: str) -> None:
    assert (await billing.get(f"/v1/plans/{plan}")).status == 404
    assert (await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "1"})).status == 404
    assert (await billing.patch(f"/v1/plans/{plan}", {})).status == 404


@pytest.mark.parametrize(
    ("currency", "fee", "per_minute", "window"),
    [
        ("JPY", "3000", "12.5", "0"),
        ("USD", "3000.00", "12.50", "0.00"),
        ("KWD", "3000.000", "12.500", "0.000"),
    ],
)
async def test_prices_have_the_decimals_of_the_currency_and_as_many_more_as_they_need(
    make_billing: MakeBilling, currency: str, fee: str, per_minute: str, window: str
) -> None:
    billing: Billing = await make_billing(currency=Currency.of(currency))
    base_price = {
        "per_minute": "12.5",
        "windows": [{"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0"}],
    }
    tariffs = [{"destination_prefix": "2", "price": {"per_minute": "0.0625"}}]
    created = await billing.post(
        "/v1/plans",
        {"name": "Plan", "monthly_fee": "3000", "base_price": base_price, "tariffs": tariffs},
    )
    listed = (await billing.get("/v1/plans")).body["items"][0]
    for plan in (created.body, listed):
        assert plan["monthly_fee"] == fee
        assert plan["base_price"]["per_minute"] == per_minute
        assert plan["base_price"]["windows"][0]["per_minute"] == window
        assert plan["tariffs"][0]["price"]["per_minute"] == "0.0625"
        assert plan["tariffs"][0]["price"]["standing_charge"] == window


async def test_a_fee_finer_than_the_minor_unit_is_kept_and_rounded_on_the_bill(
    make_billing: MakeBilling,
) -> None:
    billing: Billing = await make_billing(currency=Currency.of("JPY"))
    plan_id = await billing.add_plan(monthly_fee="30.50")
    assert (await billing.get(f"/v1/plans/{plan_id}")).body["monthly_fee"] == "30.5"
    await billing.add_account("0001", plan_id=plan_id)
    await billing.close_ahead("2027-01-21T00:00:00Z")
    bills = (await billing.get("/v1/bills", account="0001")).body["items"]
    (line,) = (await billing.get(f"/v1/bills/{bills[0]['number']}")).body["lines"]
    assert (line["amount_precise"], line["amount"]) == ("30.500000", "31")


async def test_the_versions_of_a_plan_are_listed_newest_first(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", EVENING)).body["id"]
    await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "6.00"})
    await billing.patch(f"/v1/plans/{plan}", {"included_minutes": 0, "tariffs": []})
    first = (await billing.get(f"/v1/plans/{plan}/versions", limit=2)).body
    last = (await billing.get(f"/v1/plans/{plan}/versions", limit=2, cursor=first["next_cursor"])).body
    assert [
        (row["version"], row["monthly_fee"], row["included_minutes"], row["tariff_count"])
        for row in first["items"] + last["items"]
    ] == [(3, "6.00", 0, 0), (2, "6.00", 100, 1), (1, "5.00", 100, 1)]
    assert last["items"][0]["base_price"] == EVENING["base_price"]
    assert last["next_cursor"] is None
    assert (await billing.get("/v1/plans/99/versions")).status == 404
    # Their tariffs are there too.
    for version, count in ((1, 1), (3, 0)):
        tariffs = (await billing.get(f"/v1/plans/{plan}/tariffs", version=version)).body["items"]
        assert len(tariffs) == count
    assert (await billing.get(f"/v1/plans/{plan}/tariffs", version=4)).status == 404
    assert (await billing.get(f"/v1/plans/{plan}/rate-sheet", version=4)).status == 404


async def test_active_and_retired_plans_are_told_apart(billing: Billing) -> None:
    plan = await billing.add_plan("Old")
    await billing.add_plan("New")
    await billing.patch(f"/v1/plans/{plan}", {"active": False})
    for active, names in (("true", ["New"]), ("false", ["Old"])):
        assert [
            found["name"] for found in (await billing.get("/v1/plans", active=active)).body["items"]
        ] == names


WRONG_NEW_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"included_minutes": -1}, "included_minutes"),
    ({"included_minutes": 10**30}, "included_minutes"),
    ({"included_minutes": "100"}, "included_minutes"),
    ({"included_prefixes": ["41", "+41"]}, "included_prefixes[1]"),
    ({"included_prefixes": [""]}, "included_prefixes[0]"),
    ({"permits_blocking": "yes"}, "permits_blocking"),
    ({"tariffs": [{"description": "a\nb", "price": {"per_minute": "1"}}]}, "tariffs[0].description"),
]


async def test_minutes_prefixes_and_permissions_that_make_no_sense_are_named(billing: Billing) -> None:
    existing = await billing.add_plan("Existing")
    for fields, wrong in WRONG_NEW_FIELDS:
        plan = {"name": "Plan", "base_price": {"per_minute": "1"}, **fields}
        created = await billing.post("/v1/plans", plan)
        assert (created.status, set(created.fields())) == (422, {wrong})
        edited = await billing.patch(f"/v1/plans/{existing}", fields)
        assert (edited.status, set(edited.fields())) == (422, {wrong})
    (plan,) = (await billing.get("/v1/plans")).body["items"]
    assert plan["version"] == 1

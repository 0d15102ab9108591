"""What a call would cost, and why, over the REST API."""

from typing import Any

from tests.integration.billing_service.test_plans import EVENING
from tests.support.billing import Billing

CALL = {"callee": "0002", "answered_at": "2026-11-21T21:57:13Z", "duration_s": 823}


async def preview(billing: Billing, **wish: Any) -> dict[str, Any]:
    answer = await billing.post("/v1/price-preview", {**CALL, **wish})
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.body
    return body


async def test_the_evening_call_of_the_book(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", {**EVENING, "included_minutes": 0})).body["id"]
    told = await preview(billing, plan_id=plan)
    assert (told["price_precise"], told["price"]) == ("0.540000", "0.54")
    night = {"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0.00"}
    assert told["rating"] == {
        "plan_name": "Evening",
        "tariff": None,
        "price_terms": EVENING["base_price"],
        "pieces": [
            {
                "from": "2026-11-21T21:57:13.000000Z",
                "to": "2026-11-21T22:00:00.000000Z",
                "window": None,
                "increments": 2,
                "charged_s": 120,
                "per_minute": "0.09",
                "amount_precise": "0.180000",
            },
            {
                "from": "2026-11-21T22:00:00.000000Z",
                "to": "2026-11-21T22:10:56.000000Z",
                "window": night,
                "increments": 10,
                "charged_s": 600,
                "per_minute": "0.00",
                "amount_precise": "0.000000",
            },
        ],
        "pieces_left_out": 0,
        "roundings": [],
        "price_precise": "0.540000",
        "price": "0.54",
    }
    assert told["text"][-1] == "Together 0.540000, rounded to 0.54 USD."


async def test_a_day_and_a_bit_of_the_book(billing: Billing) -> None:
    plan = (await billing.post("/v1/plans", {**EVENING, "included_minutes": 0})).body["id"]
    told = await preview(billing, plan_id=plan, duration_s=86_400 + 823)
    assert told["price"] == "86.94"
    assert [piece["amount_precise"] for piece in told["rating"]["pieces"]] == [
        "0.180000",
        "0.000000",
        "86.400000",
        "0.000000",
    ]


async def test_each_rounding_is_told(billing: Billing) -> None:
    price = {"per_minute": "0.10", "initial_increment_s": 1, "next_increment_s": 1}
    plan = await billing.add_plan(base_price=price)
    told = await preview(billing, plan_id=plan, duration_s=1)
    assert told["rating"]["roundings"] == [
        {
            "rule": "what is less than a millionth is cut off",
            "before": "0.0016666666",
            "after": "0.001666",
        },
        {"rule": "rounded half-up to the minor unit of USD", "before": "0.001666", "after": "0.00"},
    ]


async def test_a_call_of_an_account_is_priced_by_the_plan_in_force_then(billing: Billing) -> None:
    account = await billing.add_account("0001")
    dear = await billing.add_plan("Dear", base_price={"per_minute": "1.00"})
    await billing.post("/v1/phone-accounts/0001/plan", {"plan_id": dear, "from": "2026-12-01T00:00:00Z"})
    assert account["plan_name"] == "Plan of 0001"
    now = await preview(billing, account="0001", duration_s=60)
    later = await preview(billing, account="0001", duration_s=60, answered_at="2026-12-01T00:00:00Z")
    assert (now["price"], later["price"], later["rating"]["plan_name"]) == ("0.10", "1.00", "Dear")


async def test_the_tariff_is_chosen_by_both_numbers(billing: Billing) -> None:
    tariffs = [
        {"source_prefix": "5", "destination_prefix": "0041", "price": {"per_minute": "0.02"}},
        {"destination_prefix": "0041", "price": {"per_minute": "0.03"}},
    ]
    plan = await billing.add_plan(tariffs=tariffs)
    prices = [
        (await preview(billing, plan_id=plan, caller=caller, callee="004177", duration_s=60))["price"]
        for caller in ("5000", "6000", None)
    ]
    assert prices == ["0.02", "0.03", "0.03"]


async def test_an_emergency_call_costs_nothing(billing: Billing) -> None:
    plan = await billing.add_plan()
    number = (await billing.get("/v1/settings")).body["emergency_numbers"][0]
    told = await preview(billing, plan_id=plan, callee=number)
    assert told == {
        "price_precise": "0.000000",
        "price": "0.00",
        "rating": None,
        "text": ["An emergency call is never charged."],
    }


async def test_a_call_of_a_month_in_seconds_is_explained_at_once(billing: Billing) -> None:
    price = {**EVENING["base_price"], "initial_increment_s": 1, "next_increment_s": 1}  # type: ignore[dict-item]
    plan = await billing.add_plan(base_price=price)
    told = await preview(billing, plan_id=plan, duration_s=31 * 86_400)
    assert len(told["rating"]["pieces"]) == 63
    assert told["text"][-2] == "And 13 more parts in the same way."


async def test_included_minutes_are_mentioned(billing: Billing) -> None:
    plan = await billing.add_plan(included_minutes=100)
    assert "includes 100 minutes a month" in (await preview(billing, plan_id=plan))["text"][-1]


WRONG_WISHES: list[tuple[dict[str, Any], str]] = [
    ({}, "plan_id"),
    ({"plan_id": 1, "account": "0001"}, "plan_id"),
    ({"plan_id": 99}, "plan_id"),
    ({"account": "0009"}, "account"),
    ({"account": "0001", "answered_at": "2020-01-01T00:00:00Z"}, "answered_at"),
    ({"plan_id": 1, "duration_s": -1}, "duration_s"),
    ({"plan_id": 1, "duration_s": 10**9}, "duration_s"),
    ({"plan_id": 1, "duration_s": 1.5}, "duration_s"),
    ({"plan_id": 1, "callee": "alice"}, "callee"),
    ({"plan_id": 1, "caller": ""}, "caller"),
    ({"plan_id": 1, "answered_at": "9999-12-31T23:59:59Z"}, "answered_at"),
    ({"plan_id": 1, "colour": "blue"}, "colour"),
]


async def test_a_wish_that_makes_no_sense_names_the_field(billing: Billing) -> None:
    await billing.add_account("0001")
    for wish, wrong in WRONG_WISHES:
        answer = await billing.post("/v1/price-preview", {**CALL, **wish})
        assert (answer.status, set(answer.fields())) == (422, {wrong})

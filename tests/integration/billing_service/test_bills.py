"""The open bill, closed bills and closing, as a client of the REST API sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.money import Currency
from tests.support.billing import Billing, MakeBilling, call_record

PAST_THE_PERIOD = "2026-12-21T00:00:00Z"


async def close(billing: Billing, as_of: str | None = PAST_THE_PERIOD) -> dict[str, Any]:
    if as_of is None:
        answer = await billing.post("/v1/bills/close-due", {})
    else:
        answer = await billing.close_ahead(as_of)
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.body
    return body


async def test_a_call_is_on_the_open_bill_as_soon_as_its_record_arrives(billing: Billing) -> None:
    await billing.add_account("0001")
    before = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    assert (before["state"], before["number"], before["calls"], before["total"]) == ("open", None, [], "0.00")

    await billing.deliver(call_record(duration_us=61_000_000, ended_at="2026-11-21T20:11:05.000000Z"))

    bill = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    assert bill["calls"] == [
        {
            "record_id": f"{1:032x}",
            "callee": "0002",
            "answered_at": "2026-11-21T20:10:04.000000Z",
            "duration_us": 61_000_000,
            "price_precise": "0.200000",
            "price": "0.20",
            "late": False,
            "included_s": 0,
            "included": "0.00",
            "plan_version_id": bill["calls"][0]["plan_version_id"],
        }
    ]
    assert (bill["call_total"], bill["total"], bill["amount_due"]) == ("0.20", "0.20", "0.20")
    assert bill["period"] == {"start": "2026-11-21T20:00:00.000000Z", "end": "2026-12-21T00:00:00.000000Z"}


async def test_closing_past_the_period_gives_a_bill_with_the_right_total(billing: Billing) -> None:
    await billing.add_account("0001", plan_id=await billing.add_plan(monthly_fee="30.00"))
    await billing.deliver(call_record())

    assert await close(billing) == {"closed": 1, "bills": ["2026-000001"], "suspended": [], "failed": []}

    bill = (await billing.get("/v1/bills/2026-000001")).body
    assert (bill["number"], bill["state"], bill["revision"], bill["account"]) == (
        "2026-000001",
        "closed",
        1,
        "0001",
    )
    # Open from 20:00 on the first of thirty days: 29 days and 4 hours.
    assert [(line["kind"], line["amount"]) for line in bill["lines"]] == [("fee", "29.17"), ("calls", "0.10")]
    assert (bill["total"], bill["paid"], bill["amount_due"]) == ("29.27", "0.00", "29.27")
    assert (bill["closed_at"], bill["due_on"]) == ("2026-12-21T00:00:00.000000Z", "2027-01-04")
    call = (await billing.get(f"/v1/calls/{1:032x}")).body
    assert call["bill"] == "2026-000001"
    account = (await billing.get("/v1/phone-accounts/0001")).body
    assert (account["balance"], account["unpaid_bills"]) == ("-29.27", 1)


async def test_closing_again_closes_nothing(billing: Billing) -> None:
    await billing.add_account("0001")
    await close(billing)
    assert await close(billing) == {"closed": 0, "bills": [], "suspended": [], "failed": []}


async def test_closing_without_a_date_closes_up_to_now(billing: Billing) -> None:
    await billing.add_account("0001")
    assert (await close(billing, None))["closed"] == 0
    billing.clock.advance(timedelta(days=30))
    assert (await close(billing, None))["closed"] == 1


async def test_only_what_is_over_can_be_closed(billing: Billing) -> None:
    await billing.add_account("0001")
    billing.clock.advance(timedelta(days=70))
    now = "2027-01-30T20:00:00Z"
    for as_of in ("2027-01-30T20:00:00.000001Z", "2027-02-21T00:00:00Z"):
        ahead = await billing.post("/v1/bills/close-due", {"as_of": as_of})
        assert (ahead.status, list(ahead.fields())) == (422, ["as_of"])
    assert (await billing.get("/v1/bills")).body["items"] == []
    first = await billing.post("/v1/bills/close-due", {"as_of": PAST_THE_PERIOD})
    assert first.body["bills"] == ["2026-000001"]
    assert (await billing.get("/v1/bills/2026-000001")).body["closed_at"] == "2026-12-21T00:00:00.000000Z"
    assert (await billing.post("/v1/bills/close-due", {"as_of": now})).body["bills"] == ["2027-000001"]


async def test_requests_at_the_same_time_close_everything_once(billing: Billing) -> None:
    plan_id = await billing.add_plan()
    for number in ("0001", "0002", "0003"):
        await billing.add_account(number, plan_id=plan_id)
    billing.clock.advance(timedelta(days=30))
    answers = await asyncio.gather(*(close(billing, None) for _ in range(4)))
    assert sorted(number for answer in answers for number in answer["bills"]) == [
        "2026-000001",
        "2026-000002",
        "2026-000003",
    ]


async def test_the_third_unpaid_bill_suspends(billing: Billing) -> None:
    await billing.add_account("0001")
    assert (await close(billing, "2027-01-21T00:00:00Z"))["suspended"] == []
    assert (await close(billing, "2027-02-21T00:00:00Z"))["suspended"] == ["0001"]
    assert (await billing.get("/v1/phone-accounts/0001")).body["state"] == "suspended"


async def test_the_list_is_newest_first_without_lines_and_calls(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record())
    await close(billing, "2026-12-21T00:00:00Z")
    await close(billing, "2027-02-21T00:00:00Z")

    first = (await billing.get("/v1/bills", limit=2)).body
    assert [bill["number"] for bill in first["items"]] == ["2027-000002", "2027-000001"]
    rest = (await billing.get("/v1/bills", limit=2, cursor=first["next_cursor"])).body
    assert [bill["number"] for bill in rest["items"]] == ["2026-000001"]
    assert rest["next_cursor"] is None
    full = (await billing.get("/v1/bills/2026-000001")).body
    assert rest["items"][0] == {name: full[name] for name in full if name not in ("lines", "calls")}


async def test_the_list_can_be_narrowed(billing: Billing) -> None:
    plan_id = await billing.add_plan()
    first = await billing.add_account("0001", plan_id=plan_id)
    await billing.add_account("0002", plan_id=plan_id)
    await close(billing)
    await billing.post(
        "/v1/payments", {"account": "0002", "amount": "100.00"}, headers={"Idempotency-Key": "1"}
    )

    async def numbers(**query: Any) -> list[str]:
        answer = await billing.get("/v1/bills", **query)
        assert answer.status == 200, answer
        return [bill["account"] for bill in answer.body["items"]]

    assert await numbers() == ["0002", "0001"]
    assert await numbers(account="0001") == ["0001"]
    assert await numbers(account="0009") == []
    assert await numbers(customer_id=first["customer_id"]) == ["0001"]
    assert await numbers(state="paid") == ["0002"]
    assert await numbers(state="closed") == ["0001"]
    assert await numbers(state="void") == []
    assert await numbers(unpaid="true") == ["0001"]
    assert await numbers(unpaid="false") == ["0002"]
    paid = (await billing.get("/v1/bills", state="paid")).body["items"][0]
    assert paid["paid"] == paid["total"]
    assert paid["amount_due"] == "0.00"


async def test_another_currency_has_its_own_minor_unit_and_the_zone_its_own_midnight(
    make_billing: MakeBilling,
) -> None:
    billing: Billing = await make_billing(currency=Currency.of("JPY"), timezone=ZoneInfo("Asia/Tokyo"))
    plan_id = await billing.add_plan(monthly_fee="100", base_price={"per_minute": "12.5"})
    await billing.add_account("0001", plan_id=plan_id)
    await billing.deliver(call_record())
    bill = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    assert (bill["currency"], bill["timezone"], bill["call_total"]) == ("JPY", "Asia/Tokyo", "13")
    # It is the 22nd in Tokyo already.
    assert bill["period"]["end"] == "2026-12-21T15:00:00.000000Z"
    explained = (await billing.get(f"/v1/calls/{1:032x}")).body["explanation"]
    assert any(line.endswith("1 min at 12.5 a minute, 12.500000.") for line in explained), explained


async def test_a_line_of_calls_is_the_sum_of_the_prices_in_its_list(billing: Billing) -> None:
    await billing.add_account("0001", plan_id=await billing.add_plan(base_price={"per_minute": "0.015"}))
    await billing.deliver(*(call_record(number) for number in range(1, 4)))
    bill = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    (line,) = (line for line in bill["lines"] if line["kind"] == "calls")
    assert [call["price"] for call in bill["calls"]] == ["0.02", "0.02", "0.02"]
    assert (line["amount"], line["amount_precise"], bill["call_total"]) == ("0.06", "0.045000", "0.06")


async def test_a_call_and_the_bills_say_the_same_about_its_being_late(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record(1))
    await close(billing)
    billing.clock.at = datetime(2026, 12, 21, 1, tzinfo=UTC)
    busy = {"answered_at": None, "acknowledged_at": None, "duration_us": 0, "outcome": "busy"}
    emergency = {"callee": "9911", "emergency": True}
    new = {
        name: value.replace("2026-11-21T20", "2026-12-21T00")
        for name, value in call_record(4).items()
        if isinstance(value, str)
    }
    await billing.deliver(
        call_record(2), call_record(3, **busy), call_record(4, **new), call_record(5, **emergency)
    )

    async def late() -> list[bool]:
        calls = [(await billing.get(f"/v1/calls/{number:032x}")).body for number in range(1, 6)]
        listed = {call["record_id"]: call for call in (await billing.get("/v1/calls")).body["items"]}
        assert [listed[call["record_id"]]["late"] for call in calls] == [call["late"] for call in calls]
        return [call["late"] for call in calls]

    open_bill = (await billing.get("/v1/phone-accounts/0001/open-bill")).body
    assert [(call["record_id"][-1], call["late"]) for call in open_bill["calls"]] == [
        ("2", True),
        ("4", False),
    ]
    assert await late() == [False, True, False, False, False]
    await close(billing, "2027-01-21T00:00:00Z")
    assert await late() == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/bills", {"state": "open"}, "state"),
        ("/v1/bills", {"account": "abc"}, "account"),
        ("/v1/bills", {"customer_id": "0"}, "customer_id"),
        ("/v1/bills", {"unpaid": "maybe"}, "unpaid"),
        ("/v1/bills", {"limit": "201"}, "limit"),
        ("/v1/bills", {"cursor": "nonsense"}, "cursor"),
        ("/v1/bills", {"cursor": "WzEsMl0"}, "cursor"),
        ("/v1/bills", {"colour": "red"}, "colour"),
    ],
)
async def test_queries_that_make_no_sense_are_refused_by_name(
    billing: Billing, path: str, query: dict[str, str], field: str
) -> None:
    answer = await billing.get(path, **query)
    assert answer.status == 422
    assert list(answer.fields()) == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"as_of": "yesterday"}, "as_of"),
        ({"as_of": "2026-12-21"}, "as_of"),
        ({"as_of": 1}, "as_of"),
        ({"as_of": "9999-01-01T00:00:00Z"}, "as_of"),
        ({"as_of": "2199-01-01T00:00:00Z"}, "as_of"),
        ({"asof": None}, "asof"),
    ],
)
async def test_a_closing_that_makes_no_sense_is_refused_by_name(
    billing: Billing, body: dict[str, Any], field: str
) -> None:
    answer = await billing.post("/v1/bills/close-due", body)
    assert answer.status == 422
    assert list(answer.fields()) == [field]


@pytest.mark.parametrize(
    "path", ["/v1/bills/2026-000001", "/v1/bills/nonsense", "/v1/phone-accounts/0009/open-bill"]
)
async def test_what_does_not_exist_is_not_found(billing: Billing, path: str) -> None:
    assert (await billing.get(path)).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/bills"),
        ("GET", "/v1/bills/2026-000001"),
        ("POST", "/v1/bills/close-due"),
        ("GET", "/v1/phone-accounts/0001/open-bill"),
        ("POST", "/v1/payments"),
    ],
)
async def test_nothing_is_told_without_the_token(billing: Billing, method: str, path: str) -> None:
    answer = await billing.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert answer.status == 401

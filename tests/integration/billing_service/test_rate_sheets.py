"""Rate sheets over the REST API: CSV in and out, and tariffs in pages."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from billing_service.storage.tables import PlanVersion, RateSheet, Tariff
from tests.support.billing import TOKEN, Answer, Billing, call_record

SHEET = (
    "destination_prefix,description,per_minute\r\n"
    '0041,"Switzerland, fixed",0.02\r\n'
    '00417,"Switzerland, mobile",0.15\r\n'
    "0049,Germany,0.02\r\n"
)


async def put_sheet(billing: Billing, plan: int, text: str | bytes, **headers: str) -> Answer:
    data = text.encode() if isinstance(text, str) else text
    return await billing.request(
        "PUT", f"/v1/plans/{plan}/rate-sheet", data=data, headers={"Content-Type": "text/csv", **headers}
    )


async def get_sheet(billing: Billing, plan: int) -> tuple[str, Mapping[str, str]]:
    async with billing.client.get(
        f"/v1/plans/{plan}/rate-sheet", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as response:
        assert response.status == 200
        return await response.text(), response.headers


async def test_an_imported_sheet_makes_a_new_version_that_prices_calls(billing: Billing) -> None:
    account = await billing.add_account("0001")
    plan = account["plan_id"]
    imported = await put_sheet(billing, plan, SHEET)
    assert imported.status == 200, imported
    assert (imported.body["version"], imported.body["tariff_count"]) == (2, 3)
    assert imported.body["tariffs"][1]["description"] == "Switzerland, mobile"
    (result,) = await billing.deliver(call_record(callee="0041791234567"))
    assert result["status"] == "stored"
    call = (await billing.get(f"/v1/calls/{1:032x}")).body
    assert call["price"] == "0.15"
    assert call["rating"]["tariff"]["destination_prefix"] == "00417"
    assert call["explanation"][0].endswith("tariff to 00417… (Switzerland, mobile).")


async def test_an_export_is_imported_as_it_was_and_makes_no_version(billing: Billing) -> None:
    plan = await billing.add_plan()
    await put_sheet(billing, plan, SHEET)
    text, headers = await get_sheet(billing, plan)
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f"rate-sheet-{plan}-version-2.csv" in headers["Content-Disposition"]
    assert text.splitlines()[2].startswith('00417,,"Switzerland, mobile",')
    again = await put_sheet(billing, plan, text, **{"If-Match": headers["ETag"]})
    assert (again.status, again.body["version"]) == (200, 2)
    assert (await get_sheet(billing, plan))[0] == text


async def test_every_error_is_told_with_its_line_and_nothing_is_changed(billing: Billing) -> None:
    plan = await billing.add_plan()
    answer = await put_sheet(
        billing, plan, "destination_prefix,per_minute\n0041,0.02\n+41,x\n\n0041,0.03\n0043,-1\n"
    )
    assert answer.status == 422
    assert answer.body["detail"] == "The rate sheet has 4 errors; nothing was changed."
    assert [(error["line"], error["field"]) for error in answer.body["errors"]] == [
        (3, "per_minute"),
        (3, "destination_prefix"),
        (5, "destination_prefix"),
        (6, "per_minute"),
    ]
    assert (await billing.get(f"/v1/plans/{plan}")).body["version"] == 1


async def test_of_very_many_errors_the_first_thousand_are_listed(billing: Billing) -> None:
    plan = await billing.add_plan()
    answer = await put_sheet(billing, plan, "destination_prefix,per_minute\n" + "x,1\n" * 1500)
    assert (answer.status, len(answer.body["errors"])) == (422, 1000)
    assert "1500 errors" in answer.body["detail"]


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/octet-stream"])
async def test_other_kinds_of_files_are_refused(billing: Billing, content_type: str) -> None:
    plan = await billing.add_plan()
    answer = await put_sheet(billing, plan, SHEET, **{"Content-Type": content_type})
    assert answer.status == 415


async def test_two_editors_do_not_overwrite_each_other(billing: Billing) -> None:
    plan = await billing.add_plan()
    _, headers = await get_sheet(billing, plan)
    await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "6.00"})
    answer = await put_sheet(billing, plan, SHEET, **{"If-Match": headers["ETag"]})
    assert answer.status == 412
    assert (await billing.get(f"/v1/plans/{plan}")).body["tariff_count"] == 0


async def test_an_unknown_plan_has_no_sheet_and_no_tariffs(billing: Billing) -> None:
    assert (await put_sheet(billing, 99, SHEET)).status == 404
    assert (await billing.get("/v1/plans/99/rate-sheet")).status == 404
    assert (await billing.get("/v1/plans/99/tariffs")).status == 404


async def test_a_long_sheet_is_read_in_pages_and_left_out_of_the_plan(billing: Billing) -> None:
    plan = await billing.add_plan()
    prefixes = [f"{number:05d}" for number in range(1000)]
    sheet = "destination_prefix,per_minute\n" + "".join(f"{prefix},0.02\n" for prefix in prefixes)
    imported = (await put_sheet(billing, plan, sheet)).body
    assert (imported["tariff_count"], imported["tariffs"]) == (1000, None)
    (listed,) = (await billing.get("/v1/plans")).body["items"]
    assert (listed["tariff_count"], listed["tariffs"]) == (1000, None)
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while len(found) < 2000:
        answer = (await billing.get(f"/v1/plans/{plan}/tariffs", limit=200, **cursor)).body
        found += [tariff["destination_prefix"] for tariff in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert found == prefixes
    some = (await billing.get(f"/v1/plans/{plan}/tariffs", destination="0012")).body["items"]
    assert [tariff["destination_prefix"] for tariff in some] == prefixes[120:130]


async def test_versions_share_a_sheet_until_it_changes(billing: Billing) -> None:
    plan = await billing.add_plan()
    await put_sheet(billing, plan, SHEET)
    await billing.patch(f"/v1/plans/{plan}", {"monthly_fee": "6.00"})
    await billing.patch(f"/v1/plans/{plan}", {"included_minutes": 10})
    sheets, tariffs = await billing.database.run(
        lambda session: (
            session.scalars(select(PlanVersion.rate_sheet_id).order_by(PlanVersion.version)).all(),
            session.scalar(select(func.count()).select_from(Tariff)),
        )
    )
    assert sheets[1:] == [sheets[1]] * 3
    assert sheets[0] != sheets[1]
    assert tariffs == 3
    assert await billing.database.run(
        lambda session: session.scalars(select(RateSheet.tariff_count).order_by(RateSheet.id)).all()
    ) == [0, 3]
    text, _ = await get_sheet(billing, plan)
    assert text.count("\r\n") == 4

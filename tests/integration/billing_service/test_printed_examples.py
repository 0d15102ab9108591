"""The examples of the design from posted events down to the PDF that a customer gets."""

import subprocess
from datetime import UTC, datetime
from typing import Any

from tests.support.billing import TOKEN, Billing
from tests.support.call_files import MORNING_PRICE

METRO = {
    "standing_charge": "0.36",
    "per_minute": "0.09",
    "counting": "completed",
    "windows": [{"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0.00"}],
}
VAT = {"name": "VAT", "percent": "8.1", "on": ["fee", "calls"], "valid_from": "2020-01-01"}


async def call(billing: Billing, call_id: str, caller: str, starts: str, ends: str) -> None:
    """The end first: events come in any order."""
    events: tuple[dict[str, Any], ...] = (
        {"id": f"e{call_id}", "type": "end", "timestamp": ends},
        {
            "id": f"s{call_id}",
            "type": "start",
            "timestamp": starts,
            "source": caller,
            "destination": "9933468278",
        },
    )
    for event in events:
        answer = await billing.post("/v1/call", {**event, "call_id": call_id})
        assert answer.status == 202, answer


async def printed(billing: Billing, number: str) -> list[str]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with billing.client.get(f"/v1/bills/{number}.pdf", headers=headers) as response:
        assert response.status == 200
        pdf = await response.read()
    text = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return [" ".join(line.split()) for line in text.stdout.decode().splitlines()]


async def test_the_examples_of_the_design_are_on_paper_with_their_rates_and_taxes(billing: Billing) -> None:
    await billing.patch("/v1/settings", {"locale": "en_US", "company_name": "Lakeside Telephone"})
    await billing.post("/v1/taxes", VAT)
    await billing.add_account("0001", plan_id=await billing.add_plan("Metro", base_price=METRO))
    await billing.add_account(
        "0002", plan_id=await billing.add_plan("Morning", monthly_fee="0.00", base_price=MORNING_PRICE)
    )
    billing.clock.at = datetime(2026, 12, 21, tzinfo=UTC)
    await call(billing, "1", "0001", "2026-11-22T21:57:13Z", "2026-11-22T22:10:56Z")
    await call(billing, "2", "0001", "2026-11-23T21:57:13Z", "2026-11-24T22:10:56Z")
    await call(billing, "3", "0002", "2026-11-22T07:00:00Z", "2026-11-22T08:29:20Z")
    closing = await billing.post("/v1/bills/close-due", {})
    assert closing.body["bills"] == ["2026-000001", "2026-000002"]

    lines = await printed(billing, "2026-000001")
    for expected in (
        "Lakeside Telephone Bill 2026-000001",
        "Metro, Nov 21 – Dec 20, 2026 8.1 % $4.86",
        "$5.00 a month × 29 d 4 h of 30 d",
        "2 calls 8.1 % $87.48",
        "VAT 8.1 % $7.48",
        "8.1 % of $92.34",
        "Total $99.82",
        "$0.09 a minute 2 16:04:00 $86.76",
        "Nov 22, 2026 9:57:13 PM 9933468278 13:43 $0.09 + $0.00 $0.54",
        "Nov 23, 2026 9:57:13 PM 9933468278 24:13:43 $0.09 + $0.00 $86.94",
        "Sum $87.48",
    ):
        assert any(expected in line for line in lines), (expected, lines)

    lines = await printed(billing, "2026-000002")
    for expected in (
        "$0.10 a minute 1 1:00:00 $6.00",
        "$0.05 a minute every day 08:00–12:00 1 30:00 $1.50",
        "All calls $7.50",
        "1:29:20 $0.10 + $0.05 $7.50",
        "VAT 8.1 % $0.61",
        "Total $8.11",
    ):
        assert any(expected in line for line in lines), (expected, lines)

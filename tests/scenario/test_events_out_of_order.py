"""A quarter of call events: late, doubled, out of order and contradictory, closed month by month."""

from datetime import UTC, datetime
from typing import Any

from tests.support.billing import Billing
from tests.support.call_files import set_default_plan

SUBSCRIBER = "99988526423"


def event(kind: str, call_id: str, day: str, clock: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": f"{call_id} {kind} {clock}",
        "type": kind,
        "timestamp": f"2026-{day}T{clock}Z",
        "call_id": call_id,
    }
    return {**shown, "source": SUBSCRIBER, "destination": "9933468278"} if kind == "start" else shown


async def test_a_quarter_of_events(billing: Billing) -> None:
    await set_default_plan(billing)

    async def post(*events: dict[str, Any]) -> None:
        for one in events:
            assert (await billing.post("/v1/call", one)).status == 202

    async def close(month: int) -> dict[str, Any]:
        path = f"/v1/bill/{SUBSCRIBER}"
        assert (await billing.post(f"{path}/close", {"month": month, "year": 2026})).status == 202
        bill: dict[str, Any] = (await billing.get(path, month=month, year=2026)).body
        return bill

    def shown(bill: dict[str, Any]) -> list[tuple[str, str]]:
        return [(call["start_date"], call["price"]) for call in bill["calls"]]

    # January: a call with its end first, and one that goes on into February.
    billing.clock.at = datetime(2026, 2, 1, 0, 30, tzinfo=UTC)
    plain = [event("end", "plain", "01-12", "12:10:00"), event("start", "plain", "01-12", "12:00:00")]
    await post(*plain, event("start", "across", "01-31", "23:50:00"))
    january = await close(1)
    assert shown(january) == [("2026-01-12", "1.26")]

    # The call across midnight belongs to the month in which it ends.
    billing.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    await post(event("end", "across", "02-01", "06:10:00"))
    # Of January, posted after its bill: late, on the next bill with its own date.
    await post(event("end", "late", "01-20", "12:02:59"), event("start", "late", "01-20", "12:00:00"))
    # Everything of January once more changes nothing.
    await post(*plain, *plain)
    # Contradictions: another end of a call on a bill; an end before the start of one that is open.
    await post(event("end", "plain", "01-12", "12:20:00"))
    await post(event("start", "open", "02-10", "12:00:00"), event("end", "open", "02-10", "11:00:00"))
    february = await close(2)
    assert shown(february) == [("2026-01-20", "0.54"), ("2026-01-31", "1.26")]
    assert await close(1) == january

    # The administrator settles the two contradictions; what was open is late in March.
    pending = (await billing.get("/v1/rejected-call-records", state="pending")).body["items"]
    assert [row["reason"].split(":")[0] for row in pending] == [
        "the end is before the start",
        "another end of this call was posted before",
    ]
    before, another = (f"/v1/rejected-call-records/{row['id']}" for row in pending)
    mended = {"corrections": {"timestamp": "2026-02-10T12:01:00Z"}}
    assert (await billing.post(f"{before}/release", mended)).status == 200
    assert (await billing.post(f"{another}/release", {})).status == 409
    assert (await billing.post(f"{another}/dismiss", {})).status == 200
    billing.clock.at = datetime(2026, 4, 1, tzinfo=UTC)
    march = await close(3)
    assert shown(march) == [("2026-02-10", "0.45")]

    # Each call is on one bill, and the bills come to what the calls cost.
    calls = (await billing.get("/v1/calls", limit=200)).body["items"]
    assert sorted(call["call_id"] for call in calls) == ["across", "late", "open", "plain"]
    assert all(call["bill"] for call in calls)
    assert [bill["total"] for bill in (january, february, march)] == ["1.26", "1.80", "0.45"]
    assert (await billing.get("/v1/unpaired-calls")).body["items"] == []

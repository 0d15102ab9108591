"""Voiding bills, closing them again, and reading them on paper, as a client of the REST API sees it."""

import asyncio
import io
import subprocess
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientError

from billing_service.bill_rendering import pdf
from billing_service.bill_rendering.isolated import UnableToSetBills
from billing_service.http_api import print_runs
from billing_service.use_cases.readable_bill import ReadableBill
from tests.support.billing import TOKEN, Answer, Billing, call_record

BILL = "/v1/bills/2026-000001"


@pytest_asyncio.fixture
async def billed(billing: Billing) -> Billing:
    """Account 0001 with an unpaid bill of 4.86: the fee up to 21 December, and one call."""
    await billing.add_account("0001")
    await billing.deliver(call_record())
    billing.clock.advance(timedelta(days=30))
    answer = await billing.post("/v1/bills/close-due", {})
    assert answer.body["bills"] == ["2026-000001"]
    return billing


async def put_right(billing: Billing, what: str, key: str = "1", bill: str = BILL, **body: Any) -> Answer:
    return await billing.post(
        f"{bill}/{what}", {"reason": "Wrong plan", **body}, headers={"Idempotency-Key": key}
    )


async def read(billing: Billing, path: str) -> tuple[int, str, bytes]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with billing.client.get(path, headers=headers) as response:
        return response.status, response.content_type, await response.read()


def text_of(document: bytes) -> str:
    return subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=document, capture_output=True, check=True
    ).stdout.decode()


async def test_a_bill_is_voided_once_and_the_same_request_again_gets_the_same_answer(billed: Billing) -> None:
    first, again = await put_right(billed, "void"), await put_right(billed, "void")
    assert (first.status, first.body) == (200, {"number": "2026-000001", "settled": [], "reactivated": False})
    assert again == first or again.body == first.body
    assert (await put_right(billed, "void", "2")).status == 409
    bill = (await billed.get(BILL)).body
    assert (bill["state"], bill["amount_due"], bill["void"]["reason"]) == ("void", "0.00", "Wrong plan")
    assert (await billed.get("/v1/phone-accounts/0001")).body["balance"] == "0.00"
    entries = (await billed.get("/v1/ledger-entries", bill="2026-000001")).body["items"]
    assert [entry["kind"] for entry in entries] == ["reversal", "charge"]


async def test_two_who_void_and_reclose_at_once_leave_one_bill(billed: Billing) -> None:
    answers = await asyncio.gather(
        *(put_right(billed, "void", f"void-{number}") for number in range(3)),
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    replacing = await asyncio.gather(
        *(put_right(billed, "re-close", f"re-close-{number}") for number in range(3))
    )
    assert sorted(answer.status for answer in replacing) == [200, 409, 409]
    live = (await billed.get("/v1/bills", unpaid="true")).body["items"]
    assert [bill["number"] for bill in live] == ["2026-000002"]
    assert live[0]["replaces"] == "2026-000001"


async def test_closing_again_keeps_the_earlier_revision(billed: Billing) -> None:
    unchanged = await put_right(billed, "re-close")
    assert (unchanged.body["changed"], unchanged.body["revision"]) == (False, 1)
    await billed.deliver(call_record(2))
    answer = await put_right(billed, "re-close", "2")
    assert answer.body == {
        "number": "2026-000001",
        "revision": 2,
        "changed": True,
        "settled": [],
        "suspended": False,
        "reactivated": False,
    }
    listed = (await billed.get(f"{BILL}/revisions")).body["items"]
    assert [(one["revision"], one["reason"]) for one in listed] == [(1, ""), (2, "Wrong plan")]
    now, before = (await billed.get(BILL)).body, (await billed.get(BILL, revision=1)).body
    assert (len(now["calls"]), len(before["calls"])) == (2, 1)
    assert (now["revision_reason"], before["state"]) == ("Wrong plan", "superseded")
    assert (await billed.get(BILL, revision=3)).status == 404


@pytest.mark.parametrize("what", ["void", "re-close"])
async def test_a_correction_needs_a_reason_a_key_and_a_bill(billed: Billing, what: str) -> None:
    assert list((await put_right(billed, what, reason="")).fields()) == ["reason"]
    assert list((await billed.post(f"{BILL}/{what}", {})).fields()) == ["Idempotency-Key"]
    assert (await put_right(billed, what, bill="/v1/bills/2026-000099")).status == 404
    assert (await billed.get(BILL)).body["state"] == "closed"


async def test_overdue_bills_are_found_by_the_day_they_were_due(billed: Billing) -> None:
    async def overdue(value: str) -> list[str]:
        answer = await billed.get("/v1/bills", overdue=value)
        return [bill["number"] for bill in answer.body["items"]]

    billed.clock.advance(timedelta(days=14))
    assert (await overdue("true"), await overdue("false")) == ([], ["2026-000001"])
    billed.clock.advance(timedelta(days=1))
    assert (await overdue("true"), await overdue("false")) == (["2026-000001"], [])


async def test_a_bill_is_read_as_pdf_and_html_with_the_letterhead_of_its_day(billed: Billing) -> None:
    await billed.patch("/v1/settings", {"company_name": "Lakeside <Telephone>", "locale": "de"})
    await put_right(billed, "re-close")
    status, kind, document = await read(billed, f"{BILL}.pdf")
    assert (status, kind) == (200, "application/pdf")
    assert "Lakeside <Telephone>" in text_of(document)
    assert "21. Dezember 2026" in text_of(document)
    status, kind, page = await read(billed, f"{BILL}.html")
    assert (status, kind) == (200, "text/html")
    assert "Lakeside &lt;Telephone&gt;" in page.decode()
    first = await read(billed, f"{BILL}.html?revision=1")
    assert "Lakeside" not in first[2].decode()
    assert "SUPERSEDED" in first[2].decode()
    assert (await billed.get("/v1/bills/2026-000099.pdf")).status == 404


async def test_a_days_bills_come_as_one_archive_or_one_document(
    billed: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = await billed.add_plan("Another")
    for number in ("0002", "0003"):
        await billed.add_account(number, plan_id=plan_id)
    billed.clock.advance(timedelta(days=31))
    await billed.post("/v1/bills/close-due", {})
    day = billed.clock.at.date().isoformat()
    status, kind, archive = await read(billed, f"/v1/bills/print?closed_on={day}")
    assert (status, kind) == (200, "application/zip")
    files = zipfile.ZipFile(io.BytesIO(archive))
    assert files.testzip() is None
    numbers = ["2027-000001", "2027-000002", "2027-000003"]
    assert files.namelist() == [f"bill-{number}.pdf" for number in numbers]
    assert "2027-000002" in text_of(files.read("bill-2027-000002.pdf"))
    status, kind, document = await read(billed, f"/v1/bills/print?closed_on={day}&format=pdf")
    assert (status, kind) == (200, "application/pdf")
    assert [number in text_of(document) for number in numbers] == [True] * 3
    with monkeypatch.context() as patched:
        patched.setattr(print_runs, "_BATCH", 1)
        patched.setattr(print_runs, "_BILLS_A_PART", 2)
        in_parts = (await read(billed, f"/v1/bills/print?closed_on={day}&format=pdf"))[2]
    assert text_of(in_parts) == text_of(document)
    for limit in ("MOST_IN_ONE_PDF", "MOST_CALLS_IN_ONE_PDF"):
        with monkeypatch.context() as patched:
            patched.setattr(print_runs, limit, -1)
            too_many = await billed.get("/v1/bills/print", closed_on=day, format="pdf")
        assert list(too_many.fields()) == ["format"]
    assert (await billed.get("/v1/bills/print", closed_on="2020-01-01")).status == 404
    assert list((await billed.get("/v1/bills/print", closed_on="1.1.2027")).fields()) == ["closed_on"]


async def test_the_open_bill_is_read_on_paper_too_and_says_that_it_is_none_yet(billed: Billing) -> None:
    path = "/v1/phone-accounts/0001/open-bill"
    status, kind, document = await read(billed, f"{path}.pdf")
    assert (status, kind) == (200, "application/pdf")
    assert "Bill so far" in text_of(document)
    status, kind, page = await read(billed, f"{path}.html")
    assert (status, kind) == (200, "text/html")
    assert "NOT CLOSED YET" in page.decode()
    assert (await billed.get("/v1/phone-accounts/0009/open-bill.pdf")).status == 404


async def test_an_archive_that_cannot_be_finished_is_not_taken_for_a_whole_one(
    billed: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await billed.add_account("0002")
    billed.clock.advance(timedelta(days=31))
    await billed.post("/v1/bills/close-due", {})
    calls: list[int] = []

    def set_one_and_fail(bills: Sequence[ReadableBill]) -> list[bytes]:
        calls.append(len(bills))
        if len(calls) > 1:
            raise UnableToSetBills("no memory")
        return [b"%PDF-"] * len(bills)

    monkeypatch.setattr(print_runs, "_BATCH", 1)
    monkeypatch.setattr(print_runs, "each_as_pdf", set_one_and_fail)
    with pytest.raises(ClientError):
        await read(billed, f"/v1/bills/print?closed_on={billed.clock.at.date().isoformat()}")
    assert calls == [1, 1]


async def test_a_typesetter_that_fails_is_told_without_anything_internal(
    billed: Billing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "typesetter.py"
    broken.write_text("raise SystemExit('secret path')")
    monkeypatch.setattr(pdf, "TYPESETTER", broken)
    answer = await billed.get(f"{BILL}.pdf")
    assert answer.status == 503
    assert "secret" not in str(answer.body)

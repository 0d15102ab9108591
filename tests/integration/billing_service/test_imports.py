"""Files of calls are uploaded, imported in the background, and taken up again after a restart."""

import asyncio
import gzip
import io
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from billing_service.app import make_app
from billing_service.call_files.formats import FORMATS
from billing_service.http_api import imports
from billing_service.http_api.bodies import LARGEST_BODY
from billing_service.http_api.imports import IMPORTS, ImportQuery
from billing_service.jobs import import_runner
from billing_service.use_cases.import_runs import NewImport, begin_import
from tests.support.billing import TOKEN, Answer, Billing, call_record, unanswered_record
from tests.support.call_files import asterisk_line, set_default_plan

EVENING = datetime(2026, 2, 27, 21, 57, 13, tzinfo=UTC)
LINE = asterisk_line("9991", "9992", EVENING, 823)


async def upload(billing: Billing, data: Any, **query: str) -> Answer:
    return await billing.request(
        "POST", "/v1/imports", data=data, params=query, headers={"Content-Type": "text/csv"}
    )


async def finished(billing: Billing, import_id: int) -> dict[str, Any]:
    for _ in range(1000):
        run: dict[str, Any] = (await billing.get(f"/v1/imports/{import_id}")).body
        if run["state"] != "running":
            return run
        await asyncio.sleep(0.02)
    raise AssertionError(f"the import is still {run}")


async def test_an_upload_is_imported_in_the_background(billing: Billing) -> None:
    await set_default_plan(billing)
    raw = gzip.compress((LINE + "garbage\n").encode())

    answer = await upload(billing, raw, file_name="Master.csv.gz", timezone="UTC")

    assert (answer.status, answer.body["state"], answer.body["size_bytes"]) == (202, "running", len(raw))
    run = await finished(billing, answer.body["id"])
    assert (run["state"], run["format"], run["file_name"]) == ("finished", "asterisk", "Master.csv.gz")
    assert (run["stored"], run["already_had"], run["rejected"], run["unassigned"]) == (1, 0, 1, 1)
    assert (run["total_price"], run["lines"], run["read_bytes"]) == ("0.54", 2, len(raw))
    async with billing.client.get(
        f"/v1/imports/{run['id']}/rejects", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as rejects:
        assert rejects.content_type == "text/csv"
        assert (await rejects.text()).splitlines()[1].endswith(",garbage")
    again = await finished(billing, (await upload(billing, raw)).body["id"])
    assert (again["stored"], again["already_had"]) == (0, 1)
    listed = (await billing.get("/v1/imports")).body["items"]
    assert [run["id"] for run in listed] == [again["id"], run["id"]]
    assert list(billing.client.app[IMPORTS].directory.glob("*.upload")) == []  # type: ignore[union-attr]


async def test_a_file_that_cannot_be_read_says_why(billing: Billing) -> None:
    run = await finished(billing, (await upload(billing, b"hello\n")).body["id"])
    assert run["state"] == "failed"
    assert "the format of the file is not recognised" in run["problem"]
    assert (await billing.get(f"/v1/imports/{run['id']}/rejects")).status == 404


async def test_an_import_that_fails_as_nobody_expected_says_so_and_the_next_one_runs(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_default_plan(billing)

    def break_down(*_: Any, **__: Any) -> None:
        raise OverflowError("a secret of the code")

    with monkeypatch.context() as patched:
        patched.setattr(import_runner, "import_calls", break_down)
        run = await finished(billing, (await upload(billing, LINE.encode())).body["id"])
    assert (run["state"], run["stored"]) == ("failed", 0)
    assert "OverflowError" in run["problem"]
    assert "secret" not in run["problem"]
    again = await finished(billing, (await upload(billing, LINE.encode())).body["id"])
    assert (again["state"], again["stored"]) == ("finished", 1)


async def test_an_upload_is_streamed_and_too_large_ones_are_refused(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_default_plan(billing)
    lines = "".join(asterisk_line("9991", "9992", EVENING, 60, number=number) for number in range(20_000))

    async def pieces() -> AsyncIterator[bytes]:
        raw = lines.encode()
        for at in range(0, len(raw), 1024 * 1024):
            yield raw[at : at + 1024 * 1024]

    assert len(lines) > LARGEST_BODY
    run = await finished(billing, (await upload(billing, pieces())).body["id"])
    assert run["stored"] == 20_000
    monkeypatch.setattr(imports, "LARGEST_UPLOAD", 1000)
    assert (await upload(billing, pieces())).status == 413
    assert list(billing.client.app[IMPORTS].directory.iterdir()) == []  # type: ignore[union-attr]


async def test_a_run_that_was_killed_begins_again_at_the_next_start(billing: Billing) -> None:
    await set_default_plan(billing)
    runner = billing.client.app[IMPORTS]  # type: ignore[union-attr]
    new = NewImport(
        file_name="f", size_bytes=len(LINE), uploaded=True, format=None, timezone="UTC", actor="ann"
    )
    run = billing.database.run_blocking(lambda session: begin_import(session, new, at=billing.clock()))
    runner.directory.mkdir(exist_ok=True)
    runner.upload_path(run.id).write_text(LINE)
    assert (await billing.get(f"/v1/imports/{run.id}")).body["state"] == "running"

    # Another start of the service.
    app = make_app(billing.settings, token=TOKEN, now=billing.clock)
    app[IMPORTS].start()
    try:
        done = await finished(billing, run.id)
    finally:
        await app[IMPORTS].close()
    assert (done["state"], done["stored"]) == ("finished", 1)


async def test_an_import_is_cancelled_between_two_blocks_and_what_it_stored_stays(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_default_plan(billing)
    runner = billing.client.app[IMPORTS]  # type: ignore[union-attr]
    stored, goes_on = threading.Event(), threading.Event()

    def wait_after_the_first_block(_: float) -> bool:
        stored.set()
        return goes_on.wait(30)

    monkeypatch.setattr(runner, "_pause", wait_after_the_first_block)
    lines = "".join(asterisk_line("9991", "9992", EVENING, 60, number=number) for number in range(6_000))
    import_id = (await upload(billing, io.BytesIO(lines.encode()))).body["id"]
    waiting_id = (await upload(billing, LINE.encode())).body["id"]
    assert await asyncio.to_thread(stored.wait, 30)

    answers = [await billing.request("DELETE", f"/v1/imports/{one}") for one in (import_id, waiting_id)]
    goes_on.set()

    assert [(answer.status, answer.body["state"]) for answer in answers] == [(200, "cancelled")] * 2
    first, waiting = (answer.body for answer in answers)
    assert 0 < first["stored"] < 6_000
    assert first["problem"] == f"cancelled by service; the {first['stored']} stored until then stay stored"
    assert (waiting["stored"], waiting["finished_at"]) == (0, first["finished_at"])
    assert list(runner.directory.glob("*.upload")) == []
    # A later one runs, so these two are over; and nothing of theirs came after.
    later = await finished(billing, (await upload(billing, LINE.replace("9991", "9993"))).body["id"])
    assert (later["state"], later["stored"]) == ("finished", 1)
    assert (await billing.get(f"/v1/imports/{import_id}")).body == first
    assert (await billing.request("DELETE", f"/v1/imports/{import_id}")).status == 409
    assert (await billing.request("DELETE", "/v1/imports/99")).status == 404


async def test_a_command_that_was_killed_is_shown_as_interrupted(billing: Billing) -> None:
    new = NewImport(
        file_name="f", size_bytes=1, uploaded=False, format=None, timezone="UTC", actor="command line"
    )
    run = billing.database.run_blocking(lambda session: begin_import(session, new, at=billing.clock()))
    assert (await billing.get(f"/v1/imports/{run.id}")).body["state"] == "running"
    billing.clock.advance(timedelta(minutes=6))
    assert (await billing.get(f"/v1/imports/{run.id}")).body["state"] == "interrupted"


async def test_wishes_that_make_no_sense_are_refused(billing: Billing) -> None:
    wrong = await upload(billing, b"x", format="excel", timezone="Mars/Olympus", colour="red")
    assert (wrong.status, sorted(wrong.fields())) == (422, ["colour", "format", "timezone"])
    image = await billing.request("POST", "/v1/imports", data=b"x", headers={"Content-Type": "image/png"})
    assert image.status == 415
    assert (await billing.get("/v1/imports/99")).status == 404
    assert (await billing.get("/v1/imports/99/rejects")).status == 404


def test_every_format_can_be_named() -> None:
    annotation: Callable[..., Any] | None = ImportQuery.model_fields["format"].annotation
    named = {name for one in get_args(annotation) for name in get_args(one)}
    assert named == set(FORMATS)


async def test_an_export_of_calls_can_be_imported_where_they_are_known_already(billing: Billing) -> None:
    await set_default_plan(billing)
    await billing.add_account("0001")
    await billing.deliver(call_record(1), unanswered_record(2))
    await finished(billing, (await upload(billing, LINE)).body["id"])
    async with billing.client.get("/v1/calls.csv", headers={"Authorization": f"Bearer {TOKEN}"}) as exported:
        raw = await exported.read()

    run = await finished(billing, (await upload(billing, raw)).body["id"])

    assert (run["format"], run["state"]) == ("tollbell", "finished")
    assert (run["stored"], run["already_had"], run["rejected"]) == (0, 3, 0)

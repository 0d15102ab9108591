"""All bills of a day: one PDF of them all, or a zip archive with a PDF for each."""

import asyncio
import os
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import structlog
from aiohttp import web
from sqlalchemy.orm import Session

from billing_service.bill_rendering.pdf import bills_as_pdf, each_as_pdf
from billing_service.bill_rendering.print_run import PrintRun
from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Day
from billing_service.http_api.operations import Operations
from billing_service.http_api.printed_bills import PDF, WITHIN_S, in_thread, pdf_answer, pdf_headers
from billing_service.http_api.services import services
from billing_service.use_cases.read_bill import bills_closed_on, read_bill
from billing_service.use_cases.readable_bill import ReadableBill

operations = Operations("bills")

ZIP: Final = "application/zip"
MOST_IN_ONE_PDF = 5_000  # bills; setting them takes minutes
MOST_CALLS_IN_ONE_PDF = 200_000
# What is in memory at a time, in a process that sets them; 50 bills with 1,000 calls take 200 MB.
_BATCH = 20
_BILLS_A_PART = 60
_CALLS_A_PART = 5_000
_CHUNK = 256 * 1024  # bytes

log = structlog.get_logger(__name__)


class PrintRunQuery(RequestModel):
    """Which bills, and as what: a zip archive of a PDF for each, or one PDF of them all."""

    closed_on: Day
    format: Literal["zip", "pdf"] = "zip"


@operations.get(
    "/v1/bills/print", scope=Scope.BILLS_READ, produces=(ZIP, PDF), refuses=(HTTPStatus.NOT_FOUND,)
)
async def get_print_run(request: web.Request, query: PrintRunQuery) -> web.StreamResponse:
    """Read all bills that were closed on a day, void ones left out."""
    parts, day = services(request), query.closed_on
    numbers = await parts.database.run(
        lambda session: bills_closed_on(session, day, zone=parts.settings.timezone)
    )
    if not numbers:
        raise NotFound(f"No bill was closed on {day.isoformat()}.")
    if query.format == "pdf":
        return await _one_pdf(request, numbers, day)
    return await _zip(request, numbers, day)


async def _one_pdf(request: web.Request, numbers: Sequence[str], day: date) -> web.StreamResponse:
    """One document, sent when it is whole; memory holds a part of the bills, the disk the others."""
    if len(numbers) > MOST_IN_ONE_PDF:
        raise _too_much_for_one_pdf()
    name = f"bills-{day.isoformat()}"
    with PrintRun() as run:
        part: list[ReadableBill] = []
        all_calls = calls = 0
        is_first = True
        async for batch in _batches(request, numbers):
            new_calls = sum(len(bill.calls) for bill in batch)
            all_calls += new_calls
            if all_calls > MOST_CALLS_IN_ONE_PDF:
                raise _too_much_for_one_pdf()
            if part and (len(part) + len(batch) > _BILLS_A_PART or calls + new_calls > _CALLS_A_PART):
                await in_thread(run.add, part)
                part, calls, is_first = [], 0, False
            part += batch
            calls += new_calls
        if is_first:
            return pdf_answer(await in_thread(bills_as_pdf, part), name)
        await in_thread(run.add, part)
        return await _send_file(request, await in_thread(run.join, f"Bills of {day.isoformat()}"), name)


def _too_much_for_one_pdf() -> InvalidFields:
    return InvalidFields.one(
        "format",
        f"one PDF takes {MOST_IN_ONE_PDF} bills with {MOST_CALLS_IN_ONE_PDF} calls at most; take a zip",
    )


async def _send_file(request: web.Request, file: Path, name: str) -> web.StreamResponse:
    response = web.StreamResponse(headers=pdf_headers(name))
    response.content_type = PDF
    with file.open("rb") as content:
        response.content_length = content.seek(0, os.SEEK_END)
        content.seek(0)
        await response.prepare(request)
        while chunk := await asyncio.to_thread(content.read, _CHUNK):
            await response.write(chunk)
    await response.write_eof()
    return response


async def _zip(request: web.Request, numbers: Sequence[str], day: date) -> web.StreamResponse:
    """A zip archive, sent as it is made: memory holds one batch, however many bills there are."""
    batches = _batches(request, numbers)
    # Whatever is wrong shows before the first byte is on its way, as far as it can.
    first = await anext(batches)
    files = await in_thread(each_as_pdf, first)
    response = web.StreamResponse(
        headers={
            "Content-Type": ZIP,
            "Content-Disposition": f'attachment; filename="bills-{day.isoformat()}.zip"',
        }
    )
    await response.prepare(request)
    try:
        archive = _GrowingArchive()
        await response.write(archive.add(first, files))
        async for batch in batches:
            await response.write(archive.add(batch, await in_thread(each_as_pdf, batch)))
        await response.write(archive.finish())
        await response.write_eof()
    except Exception:
        # Too late for another status: an archive that breaks off can't be taken for a whole one.
        log.exception("print_run_broken_off", closed_on=day.isoformat())
        if request.transport is not None:
            request.transport.abort()
    return response


class _GrowingArchive:
    """A zip archive whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._out = _Sink()
        # PDF is compressed already.
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_STORED)

    def add(self, bills: Sequence[ReadableBill], files: Sequence[bytes]) -> bytes:
        for bill, file in zip(bills, files, strict=True):
            assert bill.closed_at is not None, "only closed bills are printed"
            made_at = bill.closed_at.astimezone(bill.zone).timetuple()[:6]
            self._zip.writestr(zipfile.ZipInfo(f"bill-{bill.number}.pdf", made_at), file)
        return self._out.take()

    def finish(self) -> bytes:
        self._zip.close()
        return self._out.take()


class _Sink:
    """A file that can only be written to, which `zipfile` is content with."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


async def _batches(request: web.Request, numbers: Sequence[str]) -> AsyncIterator[list[ReadableBill]]:
    for batch in _groups(numbers, _BATCH):
        yield await _read_many(request, batch)


def _groups(numbers: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


async def _read_many(request: web.Request, numbers: Sequence[str]) -> list[ReadableBill]:
    parts = services(request)
    today = parts.now().astimezone(parts.settings.timezone).date()

    def work(session: Session) -> list[ReadableBill]:
        return [
            read_bill(session, number, revision=None, today=today, plans=parts.plans) for number in numbers
        ]

    return await parts.database.run(work, one_snapshot=True, within_s=WITHIN_S)

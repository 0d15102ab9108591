"""Bills that people can read: one as HTML or PDF, all of a day as one PDF or in a zip archive."""

import asyncio
import itertools
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from http import HTTPStatus
from typing import Literal

import structlog
from aiohttp import web
from sqlalchemy.orm import Session

from billing_service.bill_rendering.html import bill_as_html
from billing_service.bill_rendering.pdf import UnableToSetBills, bills_as_pdf, each_as_pdf
from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.bill_answers import BILL, RevisionQuery
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Day
from billing_service.http_api.operations import Operations
from billing_service.http_api.phone_accounts import ACCOUNT
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import services
from billing_service.use_cases.read_bill import bills_closed_on, read_bill, read_open_bill
from billing_service.use_cases.readable_bill import ReadableBill

operations = Operations("bills")

HTML, PDF, ZIP = "text/html", "application/pdf", "application/zip"
# The page is complete in itself: nothing it holds may load or run anything.
_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'"
_WITHIN_S = 60.0
MOST_IN_ONE_PDF = 200  # bills; setting them takes 700 MB for a moment
MOST_CALLS_IN_ONE_PDF = 5_000
# What is in memory at a time.
_BATCH = 20

log = structlog.get_logger(__name__)


class PrintRunQuery(RequestModel):
    """Which bills, and as what: a zip archive of a PDF for each, or one PDF of them all."""

    closed_on: Day
    format: Literal["zip", "pdf"] = "zip"


@operations.get(BILL + ".html", scope=Scope.BILLS_READ, produces=(HTML,))
async def get_bill_html(request: web.Request, query: RevisionQuery) -> web.StreamResponse:
    """Read a bill as a web page."""
    return await _html(request, await _read(request, request.match_info["number"], query.revision))


@operations.get(BILL + ".pdf", scope=Scope.BILLS_READ, produces=(PDF,))
async def get_bill_pdf(request: web.Request, query: RevisionQuery) -> web.StreamResponse:
    """Read a bill as PDF."""
    number = request.match_info["number"]
    bill = await _read(request, number, query.revision)
    return _pdf(await _set([bill]), f"bill-{number}")


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


@operations.get(ACCOUNT + "/open-bill.html", scope=Scope.BILLS_READ, produces=(HTML,))
async def get_open_bill_html(request: web.Request) -> web.StreamResponse:
    """Read the bill of an account's open period so far as a web page."""
    return await _html(request, await _read_open(request))


@operations.get(ACCOUNT + "/open-bill.pdf", scope=Scope.BILLS_READ, produces=(PDF,))
async def get_open_bill_pdf(request: web.Request) -> web.StreamResponse:
    """Read the bill of an account's open period so far as PDF."""
    bill = await _read_open(request)
    return _pdf(await _set([bill]), f"bill-so-far-{bill.account}")


async def _html(request: web.Request, bill: ReadableBill) -> web.StreamResponse:
    pieces = await asyncio.to_thread(bill_as_html, bill)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{HTML}; charset=utf-8",
            "Content-Security-Policy": _NOTHING_ELSE,
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    while chunk := await asyncio.to_thread(lambda: "".join(itertools.islice(pieces, 5_000))):
        await response.write(chunk.encode())
    await response.write_eof()
    return response


async def _one_pdf(request: web.Request, numbers: Sequence[str], day: date) -> web.StreamResponse:
    bills: list[ReadableBill] = []
    calls = 0
    if len(numbers) <= MOST_IN_ONE_PDF:
        async for batch in _batches(request, numbers):
            bills += batch
            calls += sum(len(bill.calls) for bill in batch)
            if calls > MOST_CALLS_IN_ONE_PDF:
                break
    if len(numbers) > MOST_IN_ONE_PDF or calls > MOST_CALLS_IN_ONE_PDF:
        raise InvalidFields.one(
            "format",
            f"one PDF takes {MOST_IN_ONE_PDF} bills with {MOST_CALLS_IN_ONE_PDF} calls at most; take a zip",
        )
    return _pdf(await _set(bills), f"bills-{day.isoformat()}")


async def _zip(request: web.Request, numbers: Sequence[str], day: date) -> web.StreamResponse:
    """A zip archive, sent as it is made: memory holds one batch, however many bills there are."""
    batches = _batches(request, numbers)
    # Whatever is wrong shows before the first byte is on its way, as far as it can.
    first = await anext(batches)
    files = await _set_each(first)
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
            await response.write(archive.add(batch, await _set_each(batch)))
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


async def _read(request: web.Request, number: str, revision: int | None) -> ReadableBill:
    parts = services(request)
    today = parts.now().astimezone(parts.settings.timezone).date()
    return await parts.database.run(
        lambda session: read_bill(session, number, revision=revision, today=today, plans=parts.plans),
        one_snapshot=True,
        within_s=_WITHIN_S,
    )


async def _read_open(request: web.Request) -> ReadableBill:
    parts, number = services(request), request.match_info["number"]
    return await parts.database.run(
        lambda session: read_open_bill(
            session,
            number,
            as_of=parts.now(),
            currency=parts.settings.currency,
            zone=parts.settings.timezone,
            plans=parts.plans,
        ),
        one_snapshot=True,
        within_s=_WITHIN_S,
    )


async def _read_many(request: web.Request, numbers: Sequence[str]) -> list[ReadableBill]:
    parts = services(request)
    today = parts.now().astimezone(parts.settings.timezone).date()

    def work(session: Session) -> list[ReadableBill]:
        return [
            read_bill(session, number, revision=None, today=today, plans=parts.plans) for number in numbers
        ]

    return await parts.database.run(work, one_snapshot=True, within_s=_WITHIN_S)


async def _set(bills: Sequence[ReadableBill]) -> bytes:
    try:
        return await asyncio.to_thread(bills_as_pdf, bills)
    except UnableToSetBills as error:
        raise _not_now(error) from error


async def _set_each(bills: Sequence[ReadableBill]) -> list[bytes]:
    try:
        return await asyncio.to_thread(each_as_pdf, bills)
    except UnableToSetBills as error:
        raise _not_now(error) from error


def _not_now(error: UnableToSetBills) -> Problem:
    log.error("bills_not_set", reason=str(error))
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The PDF can't be made now; the log of the service tells why. The bill can be read as HTML.",
    )


def _pdf(content: bytes, name: str) -> web.Response:
    return web.Response(
        body=content,
        content_type=PDF,
        headers={"Content-Disposition": f'inline; filename="{name}.pdf"'},
    )

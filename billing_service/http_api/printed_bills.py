"""Bills that people can read: closed and open ones as HTML or PDF."""

import asyncio
import itertools
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import structlog
from aiohttp import web

from billing_service.bill_rendering.html import bill_as_html
from billing_service.bill_rendering.isolated import UnableToSetBills
from billing_service.bill_rendering.pdf import bills_as_pdf
from billing_service.domain.permissions import Scope
from billing_service.http_api.bill_answers import BILL, RevisionQuery
from billing_service.http_api.operations import Operations
from billing_service.http_api.phone_accounts import ACCOUNT
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import services
from billing_service.use_cases.read_bill import read_bill, read_open_bill
from billing_service.use_cases.readable_bill import ReadableBill

operations = Operations("bills")

HTML, PDF, ZIP = "text/html", "application/pdf", "application/zip"
# The page is complete in itself: nothing it holds may load or run anything.
_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'"
WITHIN_S = 60.0
"""How long bills with many calls may take to be read."""
Given = TypeVar("Given")
Made = TypeVar("Made")

log = structlog.get_logger(__name__)


@operations.get(BILL + ".html", scope=Scope.BILLS_READ, produces=(HTML,))
async def get_bill_html(request: web.Request, query: RevisionQuery) -> web.StreamResponse:
    """Read a bill as a web page."""
    return await _html(request, await _read(request, request.match_info["number"], query.revision))


@operations.get(BILL + ".pdf", scope=Scope.BILLS_READ, produces=(PDF,))
async def get_bill_pdf(request: web.Request, query: RevisionQuery) -> web.StreamResponse:
    """Read a bill as PDF."""
    number = request.match_info["number"]
    bill = await _read(request, number, query.revision)
    return pdf_answer(await in_thread(bills_as_pdf, [bill]), f"bill-{number}")


@operations.get(ACCOUNT + "/open-bill.html", scope=Scope.BILLS_READ, produces=(HTML,))
async def get_open_bill_html(request: web.Request) -> web.StreamResponse:
    """Read the bill of an account's open period so far as a web page."""
    return await _html(request, await _read_open(request))


@operations.get(ACCOUNT + "/open-bill.pdf", scope=Scope.BILLS_READ, produces=(PDF,))
async def get_open_bill_pdf(request: web.Request) -> web.StreamResponse:
    """Read the bill of an account's open period so far as PDF."""
    bill = await _read_open(request)
    return pdf_answer(await in_thread(bills_as_pdf, [bill]), f"bill-so-far-{bill.account}")


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


async def _read(request: web.Request, number: str, revision: int | None) -> ReadableBill:
    parts = services(request)
    today = parts.now().astimezone(parts.settings.timezone).date()
    return await parts.database.run(
        lambda session: read_bill(session, number, revision=revision, today=today, plans=parts.plans),
        one_snapshot=True,
        within_s=WITHIN_S,
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
        within_s=WITHIN_S,
    )


async def in_thread(make: Callable[[Given], Made], given: Given) -> Made:
    """Return what the renderer makes; raise Problem (503) when it can't."""
    try:
        return await asyncio.to_thread(make, given)
    except UnableToSetBills as error:
        raise _not_now(error) from error


def _not_now(error: UnableToSetBills) -> Problem:
    log.error("bills_not_set", reason=str(error))
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The PDF can't be made now; the log of the service tells why. The bill can be read as HTML.",
    )


def pdf_answer(content: bytes, name: str) -> web.Response:
    """Return a PDF that is shown at once and has a name to be kept under."""
    return web.Response(
        body=content,
        content_type=PDF,
        headers=pdf_headers(name),
    )


def pdf_headers(name: str) -> dict[str, str]:
    """Return what names a PDF that is shown at once."""
    return {"Content-Disposition": f'inline; filename="{name}.pdf"'}

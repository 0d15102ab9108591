"""Calls as files: exactly those that a filter finds, however many, in CSV or as lines of JSON."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from billing_service.domain.permissions import Scope
from billing_service.http_api.calls import CallAnswer, CallFilterQuery, show_call
from billing_service.http_api.operations import Operations
from billing_service.http_api.services import Services, services
from billing_service.storage.call_queries import CallFilter, CallView, list_calls

# Fetched one after the other by their key: the database keeps no cursor open for a client that is slow.
CALLS_AT_ONCE: Final = 1000
# Spreadsheets take a text that begins like this for a formula (OWASP, CSV injection).
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

log = structlog.get_logger(__name__)

operations = Operations("calls")

Writer = Callable[[Sequence[CallAnswer]], bytes]


@operations.get("/v1/calls.csv", scope=Scope.CALLS_READ, produces=("text/csv",))
async def get_calls_csv(request: web.Request, query: CallFilterQuery) -> web.StreamResponse:
    """Export calls as CSV (RFC 4180), newest first, with a heading.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    heading = _csv_lines([list(CallAnswer.model_fields)])
    return await _export(request, query, "calls.csv", "text/csv", heading, _as_csv)


@operations.get("/v1/calls.jsonl", scope=Scope.CALLS_READ, produces=("application/jsonl",))
async def get_calls_jsonl(request: web.Request, query: CallFilterQuery) -> web.StreamResponse:
    """Export calls as JSON, a call a line, newest first."""
    return await _export(request, query, "calls.jsonl", "application/jsonl", b"", _as_json_lines)


async def _export(
    request: web.Request,
    query: CallFilterQuery,
    file_name: str,
    content_type: str,
    heading: bytes,
    write: Writer,
) -> web.StreamResponse:
    parts, wanted = services(request), query.to_filter()
    # Before the answer begins, so that it can still be a refusal.
    found = await _next_calls(parts, wanted, None)
    response = web.StreamResponse(
        headers={
            "Content-Disposition": f'attachment; filename="{file_name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    response.content_type = content_type
    response.charset = "utf-8"
    response.enable_compression()
    await response.prepare(request)
    try:
        await response.write(heading)
        while found:
            await response.write(write([show_call(view, parts.settings) for view in found]))
            last = found[-1].call
            found = await _next_calls(parts, wanted, (last.invited_at, last.record_id))
    except Exception as error:  # noqa: BLE001 - whatever it is, the file must not look whole
        log.warning("export_broken_off", file=file_name, reason=str(error))
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


async def _next_calls(
    parts: Services, wanted: CallFilter, before: tuple[datetime, str] | None
) -> Sequence[CallView]:
    return await parts.database.run(
        lambda session: list_calls(session, wanted, before=before, limit=CALLS_AT_ONCE)
    )


def _as_json_lines(calls: Sequence[CallAnswer]) -> bytes:
    return "".join(call.model_dump_json(by_alias=True) + "\n" for call in calls).encode()


def _as_csv(calls: Sequence[CallAnswer]) -> bytes:
    return _csv_lines([[_cell(value) for _, value in call] for call in calls])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text


def _csv_lines(rows: list[list[str]]) -> bytes:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()

"""Imports of files of calls: upload one, see how far it is, read the lines that were rejected."""

import asyncio
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Line, format_instant, format_money, format_optional_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import actor, services
from billing_service.jobs.import_runner import ImportRunner
from billing_service.settings import Settings
from billing_service.storage.tables import CallImport
from billing_service.use_cases.import_runs import (
    RUNNING,
    NewImport,
    begin_import,
    cancel_import,
    find_import,
    list_imports,
)

operations = Operations("imports")

IMPORTS: web.AppKey[ImportRunner] = web.AppKey("imports", ImportRunner)
LARGEST_UPLOAD = 4 * 1024**3  # bytes
# A run that says nothing for so long is one whose program was killed.
_SILENCE = timedelta(minutes=5)
_ONE = "/v1/imports/{id:[0-9]{1,18}}"
_MEDIA_TYPES = (
    "application/octet-stream",
    "text/csv",
    "text/plain",
    "application/gzip",
    "application/x-ndjson",
)


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("it is no IANA time zone such as Europe/Zurich") from error


class ImportQuery(RequestModel):
    """How the file is to be read: its format if it can't tell, and the zone of times without offset."""

    format: Literal["tollbell", "asterisk", "freeswitch", "kamailio", "events"] | None = None
    timezone: Annotated[str, Field(max_length=100), AfterValidator(_zone)] | None = None
    file_name: Line = "upload"


class ImportAnswer(AnswerModel):
    """A run of an import. `total_price` is of the calls stored, as bills round them.

    `lines` is up to which line the file was read. Of a run that is `running`, the counts are of what is
    stored by now; one that is `interrupted` was killed: import the file again.
    """

    id: int
    file_name: str
    format: str | None
    timezone: str
    state: Literal["running", "interrupted", "finished", "failed", "cancelled"]
    problem: str | None
    created_at: InstantText
    created_by: str
    updated_at: InstantText
    finished_at: InstantText | None
    size_bytes: int
    read_bytes: int
    lines: int
    stored: int
    already_had: int
    rejected: int
    unassigned: int
    unrated: int
    total_price: MoneyText


@operations.post(
    "/v1/imports", scope=Scope.CALLS_WRITE, status=202, consumes=_MEDIA_TYPES, refuses=(HTTPStatus.CONFLICT,)
)
async def post_import(request: web.Request, query: ImportQuery) -> ImportAnswer:
    """Upload a file of calls, plain or gzipped, and import it.

    The file is the body itself. It is imported in the background: read the import to see how far it is.
    Uploading it again is harmless. A file over 4 GB is answered 413.
    """
    parts, who = services(request), actor(request)
    if request.content_type not in _MEDIA_TYPES:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the file itself, as one of {', '.join(_MEDIA_TYPES)}."
        )
    runner = request.app[IMPORTS]
    runner.directory.mkdir(parents=True, exist_ok=True)
    received = runner.directory / f"{id(request):x}-{parts.now().timestamp():.0f}.part"
    try:
        size_bytes = await _receive(request, received)
        new = NewImport(
            file_name=query.file_name,
            size_bytes=size_bytes,
            uploaded=True,
            format=query.format,
            timezone=query.timezone or parts.settings.timezone.key,
            actor=who,
        )
        at = parts.now()

        def begin(session: Session) -> CallImport:
            run = begin_import(session, new, at=at)
            # Before the commit, so that a run that is noted has its file; linked, as this may be done again.
            runner.upload_path(run.id).unlink(missing_ok=True)
            runner.upload_path(run.id).hardlink_to(received)
            return run

        run = await parts.database.run(begin)
    finally:
        received.unlink(missing_ok=True)
    runner.submit(run.id)
    return _show(run, parts.settings, at)


@operations.get("/v1/imports", scope=Scope.CALLS_READ)
async def get_imports(request: web.Request, query: PageQuery) -> Page[ImportAnswer]:
    """List imports, newest first."""
    after = query.after(int)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_imports(session, before_id=after[0] if after else None, limit=query.limit + 1)
    )
    at = parts.now()
    return page(query, found, key=lambda run: (run.id,), show=lambda run: _show(run, parts.settings, at))


@operations.get(_ONE, scope=Scope.CALLS_READ)
async def get_import(request: web.Request) -> ImportAnswer:
    """Read how far an import is, or what came of it."""
    parts, import_id = services(request), int(request.match_info["id"])
    run = await parts.database.run(lambda session: find_import(session, import_id))
    return _show(run, parts.settings, parts.now())


@operations.delete(_ONE, scope=Scope.CALLS_WRITE, refuses=(HTTPStatus.CONFLICT,))
async def delete_import(request: web.Request) -> ImportAnswer:
    """Cancel an import that is running or waits for its turn, and remove the uploaded file.

    It stops at its next block. What it has stored stays stored; the answer says how much. An import that is
    over is answered 409.
    """
    parts, who, import_id = services(request), actor(request), int(request.match_info["id"])
    at = parts.now()
    run = await parts.database.run(lambda session: cancel_import(session, import_id, actor=who, at=at))
    await asyncio.to_thread(request.app[IMPORTS].forget_upload, import_id)
    return _show(run, parts.settings, at)


@operations.get(_ONE + "/rejects", scope=Scope.CALLS_READ, produces=("text/csv",))
async def get_rejects(request: web.Request) -> web.StreamResponse:
    """Read the rejected lines of an uploaded file as CSV: line, reason, text."""
    parts, import_id = services(request), int(request.match_info["id"])
    await parts.database.run(lambda session: find_import(session, import_id))
    path = request.app[IMPORTS].rejects_path(import_id)
    if not await asyncio.to_thread(path.exists):
        raise NotFound(f"No line of the import {import_id} was rejected, or its file is not on this machine.")
    return web.FileResponse(path, headers={"Content-Type": "text/csv; charset=utf-8"})


async def _receive(request: web.Request, path: Path) -> int:
    """Write the body to a file, piece by piece, and return its size."""
    size_bytes = 0
    with path.open("wb") as file:
        async for piece in request.content.iter_chunked(256 * 1024):
            size_bytes += len(piece)
            if size_bytes > LARGEST_UPLOAD:
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The file is larger than 4 GB.")
            await asyncio.to_thread(file.write, piece)
    return size_bytes


def _show(run: CallImport, settings: Settings, at: datetime) -> ImportAnswer:
    interrupted = run.state == RUNNING and not run.uploaded and at - run.updated_at > _SILENCE
    return ImportAnswer.model_validate(
        {
            "id": run.id,
            "file_name": run.file_name,
            "format": run.format,
            "timezone": run.timezone,
            "state": "interrupted" if interrupted else run.state,
            "problem": run.problem,
            "created_at": format_instant(run.created_at),
            "created_by": run.created_by,
            "updated_at": format_instant(run.updated_at),
            "finished_at": format_optional_instant(run.finished_at),
            "size_bytes": run.size_bytes,
            "read_bytes": run.read_bytes,
            "lines": run.lines,
            "stored": run.stored,
            "already_had": run.already_had,
            "rejected": run.rejected,
            "unassigned": run.unassigned,
            "unrated": run.unrated,
            "total_price": format_money(run.total_price, settings.currency),
        }
    )

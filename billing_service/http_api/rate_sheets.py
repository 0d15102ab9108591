"""The tariffs of a plan: in pages, and as a rate sheet in CSV, out and in."""

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field, StringConstraints
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.domain.rate_sheet import write_rate_sheet
from billing_service.domain.rate_sheet_reader import read_rate_sheet
from billing_service.errors import NotFound
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import QueryInteger
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.plan_models import PlanAnswer, TariffAnswer
from billing_service.http_api.plans import PLAN, plan_tag, read_plan, show_tariff
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.problems import Problem
from billing_service.http_api.services import actor, services
from billing_service.storage.plan_queries import find_version, list_tariffs, load_tariffs
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import BillingPlan, PlanVersion
from billing_service.use_cases.manage_plans import PlanEdit, edit_plan

operations = Operations("plans")

CSV: Final = "text/csv"
LARGEST_SHEET: Final = 32 * 1024 * 1024  # bytes; 200,000 rows are about half of it
MOST_PROBLEMS_LISTED: Final = 1_000
# Tens of thousands of rows take seconds, not the time of other requests.
_WITHIN_S: Final = 60.0


QueryVersion = Annotated[QueryInteger, Field(ge=1, le=2**31)]


class TariffQuery(PageQuery):
    """What the list of tariffs takes: `destination` are the first digits of destination prefixes."""

    destination: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,15}$")] = ""
    version: QueryVersion | None = None


class SheetQuery(RequestModel):
    """What the export takes: the version of the plan, the newest unless told."""

    version: QueryVersion | None = None


@operations.get(PLAN + "/tariffs", scope=Scope.PLANS_READ)
async def get_tariffs(request: web.Request, query: TariffQuery) -> Page[TariffAnswer]:
    """List the tariffs of a plan by their prefixes."""
    after = query.after(str, str, int)
    parts, plan_id = services(request), _plan_id(request)
    found = await parts.database.run(
        lambda session: list_tariffs(
            session,
            _version(session, plan_id, query.version).rate_sheet_id,
            destination=query.destination,
            after=after,
            limit=query.limit + 1,
        )
    )
    return page(
        query,
        found,
        key=lambda tariff: (tariff.destination_prefix, tariff.source_prefix, tariff.id),
        show=lambda tariff: TariffAnswer.model_validate(show_tariff(tariff, parts.settings.currency)),
    )


@operations.get(PLAN + "/rate-sheet", scope=Scope.PLANS_READ, produces=(CSV,), etag=True)
async def get_rate_sheet(request: web.Request, query: SheetQuery) -> web.StreamResponse:
    """Export the tariffs of a plan as CSV."""
    parts, plan_id = services(request), _plan_id(request)

    def work(session: Session) -> tuple[str, int]:
        version = _version(session, plan_id, query.version)
        tag_answer(request, plan_tag(session.get_one(BillingPlan, plan_id), version))
        return "".join(write_rate_sheet(load_tariffs(session, version.rate_sheet_id))), version.version

    text, version = await parts.database.run(work, one_snapshot=True, within_s=_WITHIN_S)
    return web.Response(
        text=text,
        content_type=CSV,
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="rate-sheet-{plan_id}-version-{version}.csv"'},
    )


@operations.put(PLAN + "/rate-sheet", scope=Scope.PLANS_WRITE, consumes=(CSV,), if_match=True, etag=True)
async def put_rate_sheet(request: web.Request) -> PlanAnswer:
    """Replace all tariffs of a plan by those of a CSV file; that makes a new version of the plan."""
    expected = expected_versions(request)
    if request.content_type != CSV:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {CSV}.")
    parts, who, plan_id = services(request), actor(request), _plan_id(request)
    data = await _read_all(request)
    try:
        tariffs = await parts.database.in_thread(lambda: read_rate_sheet(data, zone=parts.settings.timezone))
    except InvalidFields as error:
        raise _refused(error) from error

    def work(session: Session) -> None:
        # Locked before it is read, so that two editors don't undo each other's change.
        plan = session.get(BillingPlan, plan_id, with_for_update=True)
        if plan is None:
            raise NotFound(f"There is no billing plan {plan_id}.")
        require_unchanged(plan_tag(plan, _version(session, plan_id)), expected)
        edit_plan(session, plan_id, PlanEdit(tariffs=tariffs), actor=who, at=parts.now())

    await parts.database.run(work, within_s=_WITHIN_S)
    return await read_plan(request, plan_id)


def _plan_id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _version(session: Session, plan_id: int, number: int | None = None) -> PlanVersion:
    version = find_version(session, plan_id, number)
    if version is None:
        of_it = "" if number is None else f" with a version {number}"
        raise NotFound(f"There is no billing plan {plan_id}{of_it}.")
    return version


async def _read_all(request: web.Request) -> bytes:
    # Not request.read(), which ends at the size of other bodies.
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > LARGEST_SHEET:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    return bytes(data)


def _refused(error: InvalidFields) -> Problem:
    count = len(error.problems)
    detail = f"The rate sheet has {count} {'error' if count == 1 else 'errors'}; nothing was changed."
    if count > MOST_PROBLEMS_LISTED:
        detail += f" The first {MOST_PROBLEMS_LISTED} are listed."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=error.problems[:MOST_PROBLEMS_LISTED])

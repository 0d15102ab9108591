"""How closings are getting on: what was due, what has been closed, and what could not be."""

from aiohttp import web

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.fields import format_instant, format_optional_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.services import services
from billing_service.storage.closing_queries import ClosingRunView, list_closing_runs

operations = Operations("closing-runs")


class ClosingFailureAnswer(AnswerModel):
    """An account whose bill could not be closed. It stays due, and the next closing tries again."""

    account: str
    reason: str
    failed_at: InstantText


class ClosingRunAnswer(AnswerModel):
    """One worker's share of a closing. Not finished, and progress long ago: it was stopped or died."""

    id: int
    as_of: InstantText
    worker: str
    started_at: InstantText
    progress_at: InstantText
    finished_at: InstantText | None
    due: int
    closed: int
    suspended: int
    failed: int
    failures: list[ClosingFailureAnswer]


@operations.get("/v1/closing-runs", scope=Scope.BILLS_READ)
async def get_closing_runs(request: web.Request, query: PageQuery) -> Page[ClosingRunAnswer]:
    """List the runs of closing workers, newest first, with their first failures.

    `due` is how many accounts had a period to close when the run began, `closed` how many bills it made:
    several of an account when periods were missed, and fewer when other workers had a share.
    """
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_closing_runs(
            session, before_id=after[0] if after else None, limit=query.limit + 1
        )
    )
    return page(query, found, key=lambda view: (view.run.id,), show=_show)


def _show(view: ClosingRunView) -> ClosingRunAnswer:
    run = view.run
    return ClosingRunAnswer(
        id=run.id,
        as_of=format_instant(run.as_of),
        worker=run.worker,
        started_at=format_instant(run.started_at),
        progress_at=format_instant(run.progress_at),
        finished_at=format_optional_instant(run.finished_at),
        due=run.due,
        closed=run.closed,
        suspended=run.suspended,
        failed=run.failed,
        failures=[
            ClosingFailureAnswer(
                account=one.account,
                reason=one.failure.reason,
                failed_at=format_instant(one.failure.failed_at),
            )
            for one in view.failures
        ],
    )

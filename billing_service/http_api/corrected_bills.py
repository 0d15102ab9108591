"""Bills put right: voided, closed again, and their earlier revisions."""

from typing import Any

from aiohttp import web
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText
from billing_service.http_api.bill_answers import BILL
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Line, format_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.payments import once
from billing_service.http_api.services import actor, services
from billing_service.use_cases.find_bills import list_revisions
from billing_service.use_cases.reclose_bill import Correction, reclose_bill
from billing_service.use_cases.void_bill import void_bill

operations = Operations("bills")


class CorrectionRequest(RequestModel):
    """Why a bill is corrected; it is kept with the bill."""

    reason: Line


class VoidAnswer(AnswerModel):
    """A void bill: the other bills that its money has paid, and whether the account may call again."""

    number: str
    settled: list[str]
    reactivated: bool


class RecloseAnswer(AnswerModel):
    """The bill of the period as it is now.

    `changed` is false when it says what it said before. What replaces a void bill has another number.
    """

    number: str
    revision: int
    changed: bool
    settled: list[str]
    suspended: bool
    reactivated: bool


class RevisionAnswer(AnswerModel):
    """One revision of a bill; the reason is empty for the first."""

    revision: int
    created_at: InstantText
    reason: str
    total: MoneyText


class RevisionsAnswer(AnswerModel):
    """All revisions of a bill."""

    items: list[RevisionAnswer]


@operations.post(BILL + "/void", scope=Scope.BILLS_WRITE, answer=VoidAnswer, idempotent=True)
async def post_void_bill(request: web.Request, body: CorrectionRequest) -> web.Response:
    """Void a bill: nothing of it is owed any more, and what was paid on it pays other bills or is credit."""
    parts, number, who = services(request), request.match_info["number"], actor(request)

    def work(session: Session) -> dict[str, Any]:
        done = void_bill(session, number, reason=body.reason, at=parts.now(), actor=who)
        return {"number": number, "settled": list(done.settled), "reactivated": done.reactivated}

    return await once(request, "voids", {"bill": number, "reason": body.reason}, work, status=200)


@operations.post(BILL + "/re-close", scope=Scope.BILLS_WRITE, answer=RecloseAnswer, idempotent=True)
async def post_reclose_bill(request: web.Request, body: CorrectionRequest) -> web.Response:
    """Make a bill again from what is stored now; the earlier revision stays readable."""
    parts, number = services(request), request.match_info["number"]
    why = Correction(body.reason, parts.now(), actor(request))

    def work(session: Session) -> dict[str, Any]:
        done = reclose_bill(session, number, why, compiled_plans=parts.plans)
        return {
            "number": done.number,
            "revision": done.revision,
            "changed": done.changed,
            "settled": list(done.settled),
            "suspended": done.suspended,
            "reactivated": done.reactivated,
        }

    return await once(request, "re-closes", {"bill": number, "reason": body.reason}, work, status=200)


@operations.get(BILL + "/revisions", scope=Scope.BILLS_READ)
async def get_bill_revisions(request: web.Request) -> RevisionsAnswer:
    """List the revisions of a bill, the first one first."""
    number = request.match_info["number"]
    found = await services(request).database.run(lambda session: list_revisions(session, number))
    if not found:
        raise NotFound(f"There is no bill {number}.")
    return RevisionsAnswer(
        items=[
            RevisionAnswer(
                revision=one.revision,
                created_at=format_instant(one.created_at),
                reason=one.reason,
                total=one.total,
            )
            for one in found
        ]
    )

"""What would this call cost, and why."""

from typing import Annotated

from aiohttp import web
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import ZERO
from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, MoneyText, PreciseText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Identifier, Instant, Number
from billing_service.http_api.operations import Operations
from billing_service.http_api.price_explanations import RatingAnswer, show_rating
from billing_service.http_api.services import Services, services
from billing_service.storage.account_queries import plan_version_at
from billing_service.storage.plan_queries import load_terms, newest_version
from billing_service.storage.tables import PhoneAccount
from billing_service.use_cases.change_settings import read_settings
from billing_service.use_cases.explain_price import Explanation, describe, explain_price

operations = Operations("plans")

LONGEST_PREVIEW_S = 31 * 24 * 60 * 60


class PreviewWish(RequestModel):
    """A call that nobody has made, under the newest version of a plan, or as an account would make it."""

    plan_id: Identifier | None = None
    account: Number | None = None
    caller: Number | None = None
    callee: Number
    answered_at: Instant
    duration_s: Annotated[int, Field(ge=0, le=LONGEST_PREVIEW_S)]


class PreviewAnswer(AnswerModel):
    """The price, and why. `rating` is null for a call to an emergency number, which costs nothing."""

    price_precise: PreciseText
    price: MoneyText
    rating: RatingAnswer | None
    text: list[str]


@operations.post("/v1/price-preview", scope=Scope.PLANS_READ)
async def post_price_preview(request: web.Request, body: PreviewWish) -> PreviewAnswer:
    """Tell what a call would cost, and why. Stores nothing."""
    if (body.plan_id is None) == (body.account is None):
        raise InvalidFields.one("plan_id", "give a plan or an account, one of the two")
    parts = services(request)
    currency, zone = parts.settings.currency, parts.settings.timezone

    def work(session: Session) -> Explanation | None:
        if body.callee in read_settings(session).emergency_numbers:
            return None
        return explain_price(
            _plan(session, body, parts),
            caller=body.caller or body.account or "",
            callee=body.callee,
            answered_at=body.answered_at,
            duration_us=body.duration_s * 1_000_000,
            currency=currency,
            zone=zone,
        )

    explanation = await parts.database.run(work)
    if explanation is None:
        return PreviewAnswer(
            price_precise="0.000000",
            price=ZERO.format(currency),
            rating=None,
            text=["An emergency call is never charged."],
        )
    rating = show_rating(explanation, currency)
    return PreviewAnswer(
        price_precise=rating.price_precise,
        price=rating.price,
        rating=rating,
        text=describe(explanation, currency=currency, zone=zone),
    )


def _plan(session: Session, wish: PreviewWish, parts: Services) -> CompiledPlan:
    """The plan version that would hold for the call."""
    if wish.plan_id is not None:
        newest = newest_version(session, wish.plan_id)
        if newest is None:
            raise InvalidFields.one("plan_id", f"there is no billing plan {wish.plan_id}")
        version_id = newest.id
    else:
        account_id = session.scalar(select(PhoneAccount.id).where(PhoneAccount.number == wish.account))
        if account_id is None:
            raise InvalidFields.one("account", f"there is no phone account {wish.account}")
        in_force = plan_version_at(session, account_id, wish.answered_at)
        if in_force is None:
            raise InvalidFields.one("answered_at", "no plan is in force for the account at this instant")
        version_id = in_force
    return parts.plans.get(version_id, lambda wanted: load_terms(session, wanted))

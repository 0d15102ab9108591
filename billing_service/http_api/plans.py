"""Billing plans: list, create, read, edit."""

from typing import Any

from aiohttp import web
from sqlalchemy.orm import Session

from billing_service.domain.allowance import Allowance
from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import Currency, Money
from billing_service.domain.permissions import Scope
from billing_service.domain.plan import PlanTerms, Price, Tariff, check_new_fee, check_new_price
from billing_service.domain.plan_document import (
    format_price,
    price_from_document,
    price_to_document,
    tariff_from_document,
)
from billing_service.errors import NotFound
from billing_service.http_api.fields import (
    format_instant,
    format_optional_instant,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.plan_models import (
    NewPlan,
    PlanAnswer,
    PlanChanges,
    PlanQuery,
    PlanVersionAnswer,
    PriceModel,
    TariffModel,
)
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.storage import tables
from billing_service.storage.plan_queries import (
    PlanView,
    find_plan,
    list_plans,
    list_versions,
    newest_version,
)
from billing_service.storage.row_versions import require_unchanged
from billing_service.use_cases.manage_plans import PlanEdit, create_plan, edit_plan

operations = Operations("plans")

PLAN = r"/v1/plans/{id:[0-9]{1,18}}"


@operations.get("/v1/plans", scope=Scope.PLANS_READ)
async def get_plans(request: web.Request, query: PlanQuery) -> Page[PlanAnswer]:
    """List plans by name."""
    after = query.after(str, int)
    parts = services(request)
    found = await parts.database.run(
        lambda session: list_plans(
            session, active=query.active, after=after, limit=query.limit + 1, at=parts.now()
        )
    )
    return page(
        query,
        found,
        key=lambda view: (view.plan.name, view.plan.id),
        show=lambda view: _show(view, parts.settings.currency),
    )


@operations.post("/v1/plans", scope=Scope.PLANS_WRITE, status=201, etag=True)
async def post_plan(request: web.Request, body: NewPlan) -> PlanAnswer:
    """Create a plan."""
    new = body
    problems: list[FieldProblem] = []
    monthly_fee = _fee(new.monthly_fee, problems)
    base_price = _price(new.base_price, problems)
    tariffs = _tariffs(new.tariffs, problems)
    if base_price is None or problems:
        raise InvalidFields(problems)
    terms = PlanTerms(
        name=new.name,
        monthly_fee=monthly_fee,
        base_price=base_price,
        tariffs=tariffs,
        allowance=Allowance(new.included_minutes, tuple(new.included_prefixes)),
        permits_blocking=new.permits_blocking,
    )
    parts, who = services(request), actor(request)
    plan = await parts.database.run(lambda session: create_plan(session, terms, actor=who, at=parts.now()))
    return await read_plan(request, plan.id)


@operations.get(PLAN, scope=Scope.PLANS_READ, etag=True)
async def get_plan(request: web.Request) -> PlanAnswer:
    """Read one plan, at its newest version."""
    return await read_plan(request, int(request.match_info["id"]))


@operations.get(PLAN + "/versions", scope=Scope.PLANS_READ)
async def get_versions(request: web.Request, query: PageQuery) -> Page[PlanVersionAnswer]:
    """List the versions of a plan, newest first."""
    after = query.after(int)
    parts, plan_id = services(request), int(request.match_info["id"])
    found = await parts.database.run(
        lambda session: list_versions(
            session, plan_id, before=after[0] if after else None, limit=query.limit + 1
        )
    )
    if not found and after is None:
        raise NotFound(f"There is no billing plan {plan_id}.")
    return page(
        query,
        found,
        key=lambda row: (row[0].version,),
        show=lambda row: PlanVersionAnswer.model_validate(
            {
                **_show_terms(row[0], parts.settings.currency),
                "tariff_count": row[1],
                "created_at": format_instant(row[0].created_at),
                "created_by": row[0].created_by,
            }
        ),
    )


@operations.patch(PLAN, scope=Scope.PLANS_WRITE, if_match=True)
async def patch_plan(request: web.Request, body: PlanChanges) -> PlanAnswer:
    """Change some fields of a plan; new prices make a new version."""
    expected = expected_versions(request)
    given = body.model_fields_set
    problems: list[FieldProblem] = []
    replaced: dict[str, Any] = {}
    if "name" in given:
        replaced["name"] = body.name
    if "monthly_fee" in given:
        replaced["monthly_fee"] = _fee(body.monthly_fee, problems)
    if "base_price" in given:
        if body.base_price is None:
            raise InvalidFields.one("base_price", "a plan needs one")
        replaced["base_price"] = _price(body.base_price, problems)
    if "tariffs" in given:
        replaced["tariffs"] = _tariffs(body.tariffs, problems)
    for field in ("included_minutes", "included_prefixes", "permits_blocking", "active"):
        if field in given:
            replaced[field] = getattr(body, field)
    if problems:
        raise InvalidFields(problems)
    parts, who = services(request), actor(request)
    plan_id = int(request.match_info["id"])

    def work(session: Session) -> None:
        # Locked before it is read, so that two editors don't undo each other's change.
        plan = session.get(tables.BillingPlan, plan_id, with_for_update=True)
        version = newest_version(session, plan_id)
        if plan is None or version is None:
            raise NotFound(f"There is no billing plan {plan_id}.")
        require_unchanged(plan_tag(plan, version), expected)
        edit_plan(
            session,
            plan_id,
            PlanEdit(**replaced),
            actor=who,
            at=parts.now(),
        )

    await parts.database.run(work)
    return await read_plan(request, plan_id)


def _fee(fee: Money, problems: list[FieldProblem]) -> Money:
    try:
        check_new_fee(fee)
    except InvalidFields as error:
        problems.extend(error.problems)
    return fee


def _price(model: PriceModel, problems: list[FieldProblem]) -> Price | None:
    try:
        return check_new_price(price_from_document(model.model_dump()))
    except InvalidFields as error:
        problems.extend(problem.under("base_price") for problem in error.problems)
    return None


def _tariffs(models: list[TariffModel], problems: list[FieldProblem]) -> tuple[Tariff, ...]:
    tariffs = []
    for index, model in enumerate(models):
        try:
            tariff = tariff_from_document(model.model_dump())
            tariffs.append(tariff)
            _check_price_of(tariff)
        except InvalidFields as error:
            problems.extend(problem.under(f"tariffs[{index}]") for problem in error.problems)
    return tuple(tariffs)


def _check_price_of(tariff: Tariff) -> None:
    try:
        check_new_price(tariff.price)
    except InvalidFields as error:
        raise InvalidFields([problem.under("price") for problem in error.problems]) from None


async def read_plan(request: web.Request, plan_id: int) -> PlanAnswer:
    """Return a plan as it is shown; raise NotFound when there is none."""
    parts = services(request)
    view = await parts.database.run(lambda session: find_plan(session, plan_id, at=parts.now()))
    if view is None:
        raise NotFound(f"There is no billing plan {plan_id}.")
    tag_answer(request, plan_tag(view.plan, view.version))
    return _show(view, parts.settings.currency)


def plan_tag(plan: tables.BillingPlan, version: tables.PlanVersion) -> str:
    """Return the plan's ETag: an edit changes the one row, or makes another of the other."""
    return f"{plan.row_version}.{version.version}"


def show_price(document: dict[str, Any], currency: Currency) -> dict[str, Any]:
    """Return a stored price as it is shown."""
    return price_to_document(price_from_document(document), places=currency.minor_digits)


def show_tariff(tariff: tables.Tariff, currency: Currency) -> dict[str, Any]:
    """Return a tariff as it is shown."""
    return {
        "source_prefix": tariff.source_prefix,
        "destination_prefix": tariff.destination_prefix,
        "valid_from": format_optional_instant(tariff.valid_from),
        "valid_to": format_optional_instant(tariff.valid_to),
        "description": tariff.description,
        "price": show_price(tariff.price, currency),
    }


def _show_terms(version: tables.PlanVersion, currency: Currency) -> dict[str, Any]:
    return {
        "version": version.version,
        "monthly_fee": format_price(Money.from_decimal(version.monthly_fee), places=currency.minor_digits),
        "base_price": show_price(version.base_price, currency),
        "included_minutes": version.included_minutes,
        "included_prefixes": version.included_prefixes,
        "permits_blocking": version.permits_blocking,
    }


def _show(view: PlanView, currency: Currency) -> PlanAnswer:
    return PlanAnswer.model_validate(
        {
            "id": view.plan.id,
            "name": view.plan.name,
            **_show_terms(view.version, currency),
            "tariff_count": view.tariff_count,
            "tariffs": None
            if view.tariffs is None
            else [show_tariff(tariff, currency) for tariff in view.tariffs],
            "active": view.plan.active,
            "account_count": view.account_count,
            "created_at": format_instant(view.plan.created_at),
        }
    )

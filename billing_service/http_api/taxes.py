"""Tax rates: list, add, end."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from billing_service.domain.permissions import Scope
from billing_service.domain.tax import Taxable, TaxRate
from billing_service.http_api.answers import AnswerModel, DateText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Day, Line, parse_plain_decimal
from billing_service.http_api.operations import Operations
from billing_service.http_api.services import actor, services
from billing_service.storage.tables import TaxRate as TaxRow
from billing_service.use_cases.bill_heading import to_domain
from billing_service.use_cases.manage_taxes import add_tax, end_tax, list_taxes

operations = Operations("taxes")

TaxableName = Literal["fee", "calls"]
Percent = Annotated[
    Decimal,
    BeforeValidator(parse_plain_decimal),
    Field(json_schema_extra={"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?$"}),
]


class NewTax(RequestModel):
    """A tax rate to be added; `valid_to` is the first day on which it is no longer in force."""

    name: Line
    percent: Percent
    on: Annotated[list[TaxableName], Field(min_length=1, max_length=2)]
    valid_from: Day
    valid_to: Day | None = None


class TaxChanges(RequestModel):
    """When a tax rate ends: the first day on which it is no longer in force; null takes the end back."""

    valid_to: Day | None


class TaxAnswer(AnswerModel):
    """A tax rate, in force from `valid_from` on up to the day before `valid_to`."""

    id: int
    name: str
    percent: str
    on: list[TaxableName]
    valid_from: DateText
    valid_to: DateText | None


class TaxesAnswer(AnswerModel):
    """All tax rates."""

    items: list[TaxAnswer]


@operations.get("/v1/taxes", scope=Scope.SETTINGS_READ)
async def get_taxes(request: web.Request) -> TaxesAnswer:
    """List all tax rates, whenever in force, by name and first day."""
    rows = await services(request).database.run(list_taxes)
    return TaxesAnswer(items=[_show(row) for row in rows])


@operations.post("/v1/taxes", scope=Scope.SETTINGS_WRITE, status=201)
async def post_tax(request: web.Request, body: NewTax) -> TaxAnswer:
    """Add a tax rate; it is on every bill whose period's last day it is in force on."""
    rate = TaxRate(
        body.name,
        body.percent,
        frozenset(Taxable(kind) for kind in body.on),
        body.valid_from,
        body.valid_to,
    )
    who = actor(request)
    return _show(await services(request).database.run(lambda session: add_tax(session, rate, actor=who)))


@operations.patch(r"/v1/taxes/{id:[0-9]{1,18}}", scope=Scope.SETTINGS_WRITE)
async def patch_tax(request: web.Request, body: TaxChanges) -> TaxAnswer:
    """Say when a tax rate ends. Another percentage is another rate, from another day."""
    tax_id, who = int(request.match_info["id"]), actor(request)
    row = await services(request).database.run(
        lambda session: end_tax(session, tax_id, body.valid_to, actor=who)
    )
    return _show(row)


def _show(row: TaxRow) -> TaxAnswer:
    rate = to_domain(row)
    fields: dict[str, Any] = {"on": sorted(kind.value for kind in rate.on)}
    return TaxAnswer(
        id=row.id,
        name=rate.name,
        percent=rate.show_percent(),
        valid_from=rate.valid_from.isoformat(),
        valid_to=None if rate.valid_to is None else rate.valid_to.isoformat(),
        **fields,
    )

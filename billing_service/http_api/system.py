"""The system as a whole: what it is, the front page's counts, and its settings."""

from datetime import datetime, time
from typing import Annotated

from aiohttp import web
from pydantic import Field

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText
from billing_service.http_api.bodies import ChangesModel
from billing_service.http_api.fields import (
    Identifier,
    LocaleName,
    Number,
    OptionalLine,
    Text,
    format_instant,
    format_money,
)
from billing_service.http_api.operations import Operations
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.storage.overview import read_overview
from billing_service.storage.tables import SystemSettings
from billing_service.use_cases.change_settings import change_settings, read_settings

NAME = "billing_service"
VERSION = "0.1.0"

operations = Operations("system")


class SettingsChanges(ChangesModel):
    """What is to change; fields that are left out stay as they are."""

    concurrent_call_limit: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    emergency_numbers: Annotated[list[Number], Field(default_factory=list, max_length=100)]
    ring_time_s: Annotated[int, Field(ge=5, le=600)] = 60
    unpaid_bill_limit: Annotated[int, Field(ge=1, le=1000)] = 3
    payment_term_days: Annotated[int, Field(ge=0, le=365)] = 14
    phone_test_interval_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    default_plan_id: Identifier | None = None
    company_name: OptionalLine = ""
    company_address: Text = ""
    company_tax_number: OptionalLine = ""
    payment_instructions: Text = ""
    locale: LocaleName = ""


class InfoAnswer(AnswerModel):
    """What this is."""

    name: str
    version: str
    currency: str
    timezone: str
    realm: str
    started_at: InstantText


class AccountCountsAnswer(AnswerModel):
    """How many phone accounts are in each state."""

    active: int
    suspended: int
    closed: int


class OverviewAnswer(AnswerModel):
    """Counts for a front page. `open_total` is the price of the calls that are on no bill yet."""

    customers: int
    accounts: AccountCountsAnswer
    calls_today: int
    charged_today: MoneyText
    open_total: MoneyText
    unpaid_bills: int
    rejected_records: int


class SettingsAnswer(AnswerModel):
    """What an administrator may change at run time."""

    concurrent_call_limit: int | None
    emergency_numbers: list[str]
    ring_time_s: int
    unpaid_bill_limit: int
    payment_term_days: int
    phone_test_interval_s: int
    default_plan_id: int | None
    company_name: str
    company_address: str
    company_tax_number: str
    payment_instructions: str
    locale: str


@operations.get("/v1/info", scope=Scope.SETTINGS_READ)
async def get_info(request: web.Request) -> InfoAnswer:
    """Tell what this is."""
    parts = services(request)
    return InfoAnswer(
        name=NAME,
        version=VERSION,
        currency=parts.settings.currency.code,
        timezone=parts.settings.timezone.key,
        realm=parts.settings.sip_domain,
        started_at=format_instant(parts.started_at),
    )


@operations.get("/v1/overview", scope=Scope.CALLS_READ)
async def get_overview(request: web.Request) -> OverviewAnswer:
    """Count everything."""
    parts = services(request)
    zone, currency = parts.settings.timezone, parts.settings.currency
    today_from = datetime.combine(parts.now().astimezone(zone), time(), tzinfo=zone)
    overview = await parts.database.run(lambda session: read_overview(session, today_from=today_from))
    return OverviewAnswer(
        customers=overview.customers,
        accounts=AccountCountsAnswer(**overview.accounts),
        calls_today=overview.calls_today,
        charged_today=format_money(overview.charged_today, currency),
        open_total=format_money(overview.open_total, currency),
        unpaid_bills=overview.unpaid_bills,
        rejected_records=overview.rejected_records,
    )


@operations.get("/v1/settings", scope=Scope.SETTINGS_READ, etag=True)
async def get_settings(request: web.Request) -> SettingsAnswer:
    """Read the settings."""
    return _show(request, await services(request).database.run(read_settings))


@operations.patch("/v1/settings", scope=Scope.SETTINGS_WRITE, if_match=True)
async def patch_settings(request: web.Request, body: SettingsChanges) -> SettingsAnswer:
    """Change some of the settings."""
    changes = body.model_dump(exclude_unset=True)
    who, expected = actor(request), expected_versions(request)
    settings = await services(request).database.run(
        lambda session: change_settings(session, changes, actor=who, expected=expected)
    )
    return _show(request, settings)


def _show(request: web.Request, settings: SystemSettings) -> SettingsAnswer:
    tag_answer(request, settings.row_version)
    return SettingsAnswer(**{field: getattr(settings, field) for field in SettingsAnswer.model_fields})

"""Billing plans, prices and tariffs in requests and answers."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from billing_service.domain.money import Money
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.fields import Amount, Instant, Line, OptionalLine, QueryBoolean
from billing_service.http_api.pages import PageQuery

MOST_TARIFFS = 20_000
MOST_WINDOWS = 200
MOST_INCLUDED_PREFIXES = 1000

AmountText = Annotated[str, StringConstraints(min_length=1, max_length=30)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,15}$")]
IncludedPrefixes = Annotated[list[Prefix], Field(default_factory=list, max_length=MOST_INCLUDED_PREFIXES)]


class WindowModel(RequestModel):
    """A discount period."""

    model_config = ConfigDict(serialize_by_alias=True)

    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None = (
        None
    )
    begins: Annotated[str, Field(alias="from")]
    ends: Annotated[str, Field(alias="to")]
    per_minute: AmountText


class PriceModel(RequestModel):
    """The form of a price; whether it makes sense, the domain says."""

    model_config = ConfigDict(serialize_by_alias=True)

    standing_charge: AmountText = "0"
    per_minute: AmountText
    initial_increment_s: int = 60
    next_increment_s: int = 60
    counting: Literal["started", "completed"] = "started"
    windows: Annotated[list[WindowModel], Field(default_factory=list, max_length=MOST_WINDOWS)]


class TariffModel(RequestModel):
    """The form of a tariff."""

    model_config = ConfigDict(serialize_by_alias=True)

    source_prefix: Prefix = ""
    destination_prefix: Prefix = ""
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    description: OptionalLine = ""
    price: PriceModel


class NewPlan(RequestModel):
    """A plan to be created."""

    name: Line
    monthly_fee: Amount = Money(0)
    base_price: PriceModel
    tariffs: Annotated[list[TariffModel], Field(default_factory=list, max_length=MOST_TARIFFS)]
    included_minutes: int = 0
    included_prefixes: IncludedPrefixes
    permits_blocking: bool = True


class PlanChanges(ChangesModel):
    """What is to change; fields that are left out stay as they are. `tariffs` replaces them all."""

    name: Line = ""
    monthly_fee: Amount = Money(0)
    base_price: PriceModel | None = None
    tariffs: Annotated[list[TariffModel], Field(default_factory=list, max_length=MOST_TARIFFS)]
    included_minutes: int = 0
    included_prefixes: IncludedPrefixes
    permits_blocking: bool = True
    active: bool = True


class PlanQuery(PageQuery):
    """What the list takes: `active` false are the retired plans."""

    active: QueryBoolean | None = None


class WindowAnswer(AnswerModel):
    """A discount period, in local wall-clock time."""

    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None
    begins: Annotated[str, Field(alias="from")]
    ends: Annotated[str, Field(alias="to")]
    per_minute: str


class PriceAnswer(AnswerModel):
    """A price. Its amounts may be finer than the currency's minor unit."""

    standing_charge: str
    per_minute: str
    initial_increment_s: int
    next_increment_s: int
    counting: Literal["started", "completed"]
    windows: list[WindowAnswer]


class TariffAnswer(AnswerModel):
    """A price for calls between these prefixes."""

    source_prefix: str
    destination_prefix: str
    valid_from: InstantText | None
    valid_to: InstantText | None
    description: str
    price: PriceAnswer


class PlanVersionAnswer(AnswerModel):
    """A version of a plan, in force from `created_at` until the next one's."""

    version: int
    monthly_fee: str
    base_price: PriceAnswer
    tariff_count: int
    included_minutes: int
    included_prefixes: list[str]
    permits_blocking: bool
    created_at: InstantText
    created_by: str


class PlanAnswer(AnswerModel):
    """A billing plan at its newest version."""

    id: int
    name: str
    version: int
    monthly_fee: str
    base_price: PriceAnswer
    tariff_count: int
    tariffs: list[TariffAnswer] | None
    included_minutes: int
    included_prefixes: list[str]
    permits_blocking: bool
    active: bool
    account_count: int
    created_at: InstantText

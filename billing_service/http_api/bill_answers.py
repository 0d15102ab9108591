"""Bills as answers. They are frozen documents, so those of other versions may say more than these fields."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from billing_service.http_api.answers import AnswerModel, DateText, InstantText, MoneyText, PreciseText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import QueryInteger

BILL: Final = r"/v1/bills/{number:[0-9]{4}-[0-9]{6,9}}"


class RevisionQuery(RequestModel):
    """Which revision of a bill; the latest, unless told."""

    revision: Annotated[QueryInteger | None, Field(ge=1, le=1_000_000)] = None


class DocumentModel(BaseModel):
    """Base of what frozen documents hold: what later versions add is shown, too."""

    model_config = ConfigDict(extra="allow", frozen=True)


class BillCustomerAnswer(DocumentModel):
    """Who was billed, as he was then."""

    id: int
    name: str
    address: str | None
    email: str | None


class BillCompanyAnswer(DocumentModel):
    """Who sent the bill, as it was then."""

    name: str
    address: str
    tax_number: str
    payment_instructions: str


class PeriodAnswer(DocumentModel):
    """A billing period: `start` belongs to it, `end` does not."""

    start: InstantText
    end: InstantText


class FeeBasisAnswer(DocumentModel):
    """How a fee came to be: the monthly fee by the share of the whole period in which it was charged."""

    plan: str
    parts: list[PeriodAnswer]
    monthly_fee: PreciseText
    charged_us: int
    whole_us: int


class TaxBasisAnswer(DocumentModel):
    """What a tax is on."""

    name: str
    percent: str
    base: MoneyText


class BillLineAnswer(DocumentModel):
    """A line of a bill, precise and rounded; its taxes are lines of their own."""

    kind: str
    text: str
    amount_precise: PreciseText
    amount: MoneyText
    tax_percents: list[str]
    fee: FeeBasisAnswer | None
    tax: TaxBasisAnswer | None


class BillCallAnswer(DocumentModel):
    """A call on a bill."""

    record_id: str
    callee: str
    answered_at: InstantText
    duration_us: int
    price_precise: PreciseText
    price: MoneyText
    late: bool
    included_s: int
    included: MoneyText
    plan_version_id: int | None


class VoidedAnswer(DocumentModel):
    """When and why a bill was voided."""

    at: InstantText
    reason: str


class BillSummaryAnswer(DocumentModel):
    """A bill without its lines and calls. An open bill has no number, closing time or due date yet."""

    number: str | None
    state: Literal["open", "closed", "paid", "void", "superseded"]
    revision: int
    account: str
    customer: BillCustomerAnswer
    company: BillCompanyAnswer
    locale: str
    currency: str
    timezone: str
    period: PeriodAnswer
    whole_period: PeriodAnswer
    closed_at: InstantText | None
    due_on: DateText | None
    call_total: MoneyText
    fee_total: MoneyText
    tax_total: MoneyText
    total: MoneyText
    paid: MoneyText
    amount_due: MoneyText
    void: VoidedAnswer | None
    replaces: str | None
    replaced_by: str | None
    revision_reason: str


class BillAnswer(BillSummaryAnswer):
    """A bill in full."""

    lines: list[BillLineAnswer]
    calls: list[BillCallAnswer]


class ClosedAnswer(AnswerModel):
    """What a closing did: how many bills it made, their numbers, and the accounts that it suspended.

    `failed` are the accounts that it could not close; they stay due, and `/v1/closing-runs` tells why.
    """

    closed: int
    bills: list[str]
    suspended: list[str]
    failed: list[str]

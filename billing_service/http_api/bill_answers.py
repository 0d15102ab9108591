"""Bills as answers. They are frozen documents, so those of other versions may say more than these fields."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from billing_service.http_api.answers import AnswerModel, DateText, InstantText, MoneyText, PreciseText


class DocumentModel(BaseModel):
    """Base of what frozen documents hold: what later versions add is shown, too."""

    model_config = ConfigDict(extra="allow", frozen=True)


class BillCustomerAnswer(DocumentModel):
    """Who was billed, as he was then."""

    id: int
    name: str
    address: str | None
    email: str | None


class PeriodAnswer(DocumentModel):
    """A billing period: `start` belongs to it, `end` does not."""

    start: InstantText
    end: InstantText


class BillLineAnswer(DocumentModel):
    """A line of a bill, precise and rounded."""

    kind: str
    text: str
    amount_precise: PreciseText
    amount: MoneyText


class BillCallAnswer(DocumentModel):
    """A call on a bill."""

    record_id: str
    callee: str
    answered_at: InstantText
    duration_us: int
    price_precise: PreciseText
    price: MoneyText
    late: bool


class BillSummaryAnswer(DocumentModel):
    """A bill without its lines and calls. An open bill has no number, closing time or due date yet."""

    number: str | None
    state: Literal["open", "closed", "paid", "void"]
    revision: int
    account: str
    customer: BillCustomerAnswer
    currency: str
    timezone: str
    period: PeriodAnswer
    closed_at: InstantText | None
    due_on: DateText | None
    call_total: MoneyText
    fee_total: MoneyText
    tax_total: MoneyText
    total: MoneyText
    paid: MoneyText
    amount_due: MoneyText


class BillAnswer(BillSummaryAnswer):
    """A bill in full."""

    lines: list[BillLineAnswer]
    calls: list[BillCallAnswer]


class ClosedAnswer(AnswerModel):
    """What a closing did: how many bills it made, their numbers, and the accounts that it suspended."""

    closed: int
    bills: list[str]
    suspended: list[str]

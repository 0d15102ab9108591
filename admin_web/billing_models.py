"""What billing answers, typed (`docs/api/billing.md`). Fields that a later version adds are ignored."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

Item = TypeVar("Item")


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(Model, Generic[Item]):
    """One page of a list; `next_cursor` leads on, None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None


class Health(Model):
    status: str
    database: str
    broker: str | None = None


class Info(Model):
    name: str
    version: str
    currency: str
    timezone: str
    realm: str
    started_at: AwareDatetime


class Administrator(Model):
    login: str
    name: str
    role: str


class AccountCounts(Model):
    active: int
    suspended: int
    closed: int


class Overview(Model):
    customers: int
    accounts: AccountCounts
    calls_today: int
    charged_today: Decimal
    open_total: Decimal
    unpaid_bills: int
    rejected_records: int


class Customer(Model):
    id: int
    name: str
    email: str | None
    address: str | None
    alternative_number: str | None
    created_at: AwareDatetime
    account_count: int


class AccountState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    OUT_OF_SERVICE = "out_of_service"


class FilterRule(Model):
    pattern: str
    action: str


class PhoneAccount(Model):
    number: str
    customer_id: int
    customer_name: str
    display_name: str | None
    state: AccountState
    plan_id: int
    plan_name: str
    billing_day: int
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None
    call_limit: int | None
    outgoing_filter: tuple[FilterRule, ...]
    incoming_filter: tuple[FilterRule, ...]
    block_list: tuple[str, ...]
    balance: Decimal
    unpaid_bills: int


class Outcome(StrEnum):
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    FAILED = "failed"


class Call(Model):
    record_id: str
    call_id: str
    caller: str
    callee: str
    emergency: bool
    invited_at: AwareDatetime
    ringing_at: AwareDatetime | None
    answered_at: AwareDatetime | None
    ended_at: AwareDatetime
    duration_us: int
    outcome: Outcome
    status: int
    reason: str
    ended_by: str | None
    account: str | None
    plan_name: str | None
    price_precise: Decimal | None
    price: Decimal | None
    bill: str | None
    late: bool
    explanation: tuple[str, ...] = ()


class BillState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    PAID = "paid"
    VOID = "void"


class BillCustomer(Model):
    id: int
    name: str
    address: str | None = None
    email: str | None = None


class Period(Model):
    """Half-open: `start` belongs to it, `end` does not."""

    start: AwareDatetime
    end: AwareDatetime


class BillLine(Model):
    kind: str
    text: str
    amount_precise: Decimal
    amount: Decimal


class BillCall(Model):
    record_id: str
    callee: str
    answered_at: AwareDatetime
    duration_us: int
    price_precise: Decimal
    price: Decimal
    late: bool


class BillSummary(Model):
    """A bill in a list. An open bill has no number, no closing time and no due date yet."""

    number: str | None
    state: BillState
    revision: int | None
    account: str
    customer: BillCustomer
    currency: str
    timezone: str
    period: Period
    closed_at: AwareDatetime | None
    due_on: date | None
    call_total: Decimal
    fee_total: Decimal
    tax_total: Decimal
    total: Decimal
    paid: Decimal
    amount_due: Decimal


class Bill(BillSummary):
    lines: tuple[BillLine, ...]
    calls: tuple[BillCall, ...]


class RejectedRecord(Model):
    id: int | str
    received_at: AwareDatetime
    reason: str
    record: JsonValue

"""What billing tells others: the kinds of events, and one event before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


class EventKind(Enum):
    """Something that has happened. The names are the contract (`docs/api/events.md`): add, never change."""

    ACCOUNT_OPENED = "account.opened"
    ACCOUNT_SUSPENDED = "account.suspended"
    ACCOUNT_REACTIVATED = "account.reactivated"
    ACCOUNT_CLOSED = "account.closed"
    PLAN_CHANGED = "plan.changed"
    CALL_RATED = "call.rated"
    RECORD_REJECTED = "record.rejected"
    BILL_CLOSED = "bill.closed"
    BILL_PAID = "bill.paid"
    BILL_OVERDUE = "bill.overdue"
    BILL_REVISED = "bill.revised"
    BILL_VOIDED = "bill.voided"
    PAYMENT_TAKEN = "payment.taken"
    CREDIT_GIVEN = "credit.given"
    REFUND_MADE = "refund.made"
    WEBHOOK_DISABLED = "webhook.disabled"


EVENT_KINDS = tuple(kind.value for kind in EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `account` is the phone number whose events are kept in order; None: nobody's.

    `data` is what the kind's schema says, as JSON can hold it.
    """

    kind: EventKind
    occurred_at: datetime
    account: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

"""All tables, in one place to import from."""

from billing_service.storage.base import Base
from billing_service.storage.tables.accounts import (
    AccountPlanHistory,
    AccountStateHistory,
    Customer,
    PhoneAccount,
)
from billing_service.storage.tables.administration import (
    Administrator,
    ApiToken,
    AuditEntry,
    DirectoryClock,
    DirectoryRemoval,
    IdempotencyKey,
    SystemSettings,
)
from billing_service.storage.tables.bills import (
    Bill,
    BillCallList,
    BillNumberCounter,
    BillRevision,
    BillSettlement,
    LedgerEntry,
    TaxRate,
)
from billing_service.storage.tables.calls import Call, CallRecordReceipt, RejectedCallRecord
from billing_service.storage.tables.closing import ClosingFailure, ClosingRun
from billing_service.storage.tables.events import EventSink, OutboxEvent, Webhook, WebhookDelivery
from billing_service.storage.tables.intake import CallEventPair, CallImport
from billing_service.storage.tables.plans import BillingPlan, PlanVersion, RateSheet, Tariff

__all__ = [
    "AccountPlanHistory",
    "AccountStateHistory",
    "Administrator",
    "ApiToken",
    "AuditEntry",
    "Base",
    "Bill",
    "BillCallList",
    "BillNumberCounter",
    "BillRevision",
    "BillSettlement",
    "BillingPlan",
    "Call",
    "CallEventPair",
    "CallImport",
    "CallRecordReceipt",
    "ClosingFailure",
    "ClosingRun",
    "Customer",
    "DirectoryClock",
    "DirectoryRemoval",
    "EventSink",
    "IdempotencyKey",
    "LedgerEntry",
    "OutboxEvent",
    "PhoneAccount",
    "PlanVersion",
    "RateSheet",
    "RejectedCallRecord",
    "SystemSettings",
    "Tariff",
    "TaxRate",
    "Webhook",
    "WebhookDelivery",
]

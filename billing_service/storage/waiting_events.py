"""Events that wait in the outbox: read in order, marked when they are sent, removed when they are old."""

from datetime import UTC
from typing import Any

from billing_service.storage.tables import OutboxEvent


def event_document(event: OutboxEvent) -> dict[str, Any]:
    """An event as receivers get it (`docs/api/events.schema.json`)."""
    return {
        "id": str(event.event_id),
        "type": event.kind,
        "timestamp": event.occurred_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "account": event.account,
        "data": event.data,
    }

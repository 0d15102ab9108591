"""Events as they were written, and whether they keep to their contract."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.storage.tables import OutboxEvent, Webhook
from billing_service.storage.unit_of_work import Database
from billing_service.storage.waiting_events import event_document

_SCHEMA = json.loads((Path(__file__).parents[2] / "docs/api/events.schema.json").read_text())
VALIDATOR = Draft202012Validator(_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def listen(database: Database, *kinds: str, active: bool = True) -> None:
    """Let a webhook that nobody serves want these kinds of events; without any, all of them."""
    database.run_blocking(
        lambda session: session.add(
            Webhook(url="http://127.0.0.1:9/", secret="whsec_", kinds=list(kinds), active=active)
        )
    )


def written(database: Database) -> list[dict[str, Any]]:
    """The events in the outbox, in their order, as a receiver would get them; each fits its schema."""

    def read(session: Session) -> list[dict[str, Any]]:
        return [event_document(row) for row in session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))]

    events = database.run_blocking(read)
    for event in events:
        VALIDATOR.validate(event)
    return events

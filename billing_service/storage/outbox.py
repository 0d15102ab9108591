"""The transactional outbox: an event is written by the transaction that causes it, or not at all.

Nothing is written while nobody listens: no webhook wants the kind of event, and no broker is configured.
Senders (`jobs/`) take the events from here once they are committed; PostgreSQL wakes them (NOTIFY).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from billing_service.domain.events import Event, EventKind
from billing_service.storage.tables import EventSink, OutboxEvent, Webhook

BROKER = "broker"


def publish(session: Session, *events: Event) -> None:
    """Put events into the outbox, in their order; one statement for all of them."""
    if not events:
        return
    elements = func.jsonb_array_elements(bindparam("events", _documents(events), JSONB))
    one = elements.table_valued("value", with_ordinality="place").render_derived("one")
    event = one.c.value.cast(JSONB)
    kind = event["kind"].astext
    rows = (
        select(
            kind,
            event["account"].astext,
            event["occurred_at"].astext.cast(DateTime(timezone=True)),
            event["data"],
            _broker_listens(),
            _webhook_listens(kind),
        )
        .select_from(one)
        .order_by(one.c.place)
    )
    _insert(session, rows, kind)


def publish_rows(session: Session, kind: EventKind, rows: Select[Any, Any, Any]) -> None:
    """Put an event of one kind into the outbox for each row of a query, in its order, without fetching them.

    The query's columns are `account` (a number or null), `occurred_at` and `data` (JSONB). While nobody
    listens PostgreSQL does not even run it.
    """
    source = rows.subquery("source")
    wanted = literal(kind.value)
    columns = (source.c.account, source.c.occurred_at, source.c.data)
    _insert(session, select(wanted, *columns, _broker_listens(), _webhook_listens(wanted)), wanted)


def is_wanted(session: Session, kind: EventKind) -> bool:
    """Whether anybody listens to such events: saves a caller the trouble of making them for nobody."""
    return bool(session.scalar(select(or_(_broker_listens(), _webhook_listens(literal(kind.value))))))


def instant_text(instant: Any) -> ColumnElement[str]:
    """SQL that writes an instant as the API does: RFC 3339 in UTC with microseconds."""
    return func.to_char(func.timezone("UTC", instant), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')


def money_text(amount: Any, places: ColumnElement[int]) -> ColumnElement[str]:
    """SQL that writes an amount as the API does: a decimal number with so many places, rounded half up."""
    return func.round(amount, places).cast(Text)


def _insert(session: Session, rows: Select[Any, Any, Any], kind: ColumnElement[Any]) -> None:
    session.execute(
        insert(OutboxEvent).from_select(
            ["kind", "account", "occurred_at", "data", "for_broker", "for_webhooks"],
            rows.where(or_(_broker_listens(), _webhook_listens(kind))),
        )
    )


def _broker_listens() -> ColumnElement[bool]:
    return exists().where(EventSink.name == BROKER).correlate(None)


def _webhook_listens(kind: ColumnElement[Any]) -> ColumnElement[bool]:
    every_kind = func.cardinality(Webhook.kinds) == 0
    return exists().where(Webhook.active, or_(every_kind, kind == any_(Webhook.kinds)))


def _documents(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [
        {
            "kind": event.kind.value,
            "account": event.account,
            "occurred_at": event.occurred_at.isoformat(),
            "data": dict(event.data),
        }
        for event in events
    ]

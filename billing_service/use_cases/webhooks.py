"""Webhooks: made, changed and removed by administrators; counted and disabled when they fail for days."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.events import EVENT_KINDS, Event, EventKind
from billing_service.domain.webhook import SECRET_OVERLAP, pause_after, retry_after, without_secrets
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.outbox import publish
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import OutboxEvent, Webhook, WebhookDelivery
from billing_service.storage.webhook_deliveries import (
    AttemptResult,
    ClaimedDelivery,
    failing_webhook,
    note_failure,
    note_success,
)

EDITABLE = frozenset({"url", "description", "kinds", "active"})
MOST_WEBHOOKS: Final = 100
LONGEST_URL: Final = 2000
_GONE: Final = 410
_LONGEST_WISH: Final = timedelta(hours=1)
_SENDER: Final = "webhooks"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One line of a webhook's log."""

    delivery: WebhookDelivery
    event: OutboxEvent


def create_webhook(
    session: Session,
    *,
    url: str,
    description: str,
    kinds: Sequence[str],
    secret: str,
    actor: str,
    at: datetime,
) -> Webhook:
    """Add a receiver of events; no kinds are all kinds.

    Raises InvalidFields for an address or a kind that can't be, Conflict when there are too many webhooks.
    """
    _check(url, kinds)
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST_WEBHOOKS:
        raise Conflict(f"There are {MOST_WEBHOOKS} webhooks already; remove one first.")
    webhook = Webhook(
        url=url, description=description, kinds=list(kinds), secret=secret, active=True, created_at=at
    )
    session.add(webhook)
    session.flush()
    _audit(session, webhook.id, "create", actor, {"url": without_secrets(url), "kinds": list(kinds)})
    return webhook


def webhook_version(webhook: Webhook) -> str:
    """What tells one state of a webhook's settings from another; what its deliveries do to it is left out."""
    settings = {field: getattr(webhook, field) for field in sorted(EDITABLE)}
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def edit_webhook(
    session: Session,
    webhook_id: int,
    changes: Mapping[str, Any],
    *,
    actor: str,
    expected: Collection[str] | None = None,
) -> Webhook:
    """Change some of a webhook's fields (see EDITABLE); activating it sends what waits, at once.

    Raises NotFound, Stale when its version is none of those expected, or InvalidFields for an address or a
    kind that can't be.
    """
    assert changes.keys() <= EDITABLE
    webhook = _locked(session, webhook_id)
    require_unchanged(webhook_version(webhook), expected)
    _check(changes.get("url", webhook.url), changes.get("kinds", webhook.kinds))
    if changes.get("active", False) and not webhook.active:
        webhook.disabled_at = webhook.disabled_reason = None
        webhook.failures, webhook.resume_at = 0, None
    before = {field: getattr(webhook, field) for field in changes}
    after = dict(changes)
    if before.get("url") != after.get("url"):
        before["url"], after["url"] = without_secrets(before["url"]), without_secrets(after["url"])
        if before["url"] == after["url"]:
            # Else the log would leave it out as unchanged.
            del before["url"]
    for field, value in changes.items():
        setattr(webhook, field, value)
    record_change(
        session,
        actor=actor,
        action="edit",
        subject_kind="webhook",
        subject=webhook_id,
        before=before,
        after=after,
    )
    session.flush()
    return webhook


def remove_webhook(session: Session, webhook_id: int, *, actor: str) -> None:
    """Remove a webhook, its log and what still waits for it; raise NotFound."""
    webhook = _locked(session, webhook_id)
    url = webhook.url
    session.execute(delete(Webhook).where(Webhook.id == webhook_id))
    _audit(session, webhook_id, "remove", actor, {"url": without_secrets(url)})


def replace_secret(session: Session, webhook_id: int, secret: str, *, actor: str, at: datetime) -> Webhook:
    """Give a webhook another secret; for a day messages are signed with the old one too. Raises NotFound."""
    webhook = _locked(session, webhook_id)
    webhook.previous_secret, webhook.previous_secret_until = webhook.secret, at + SECRET_OVERLAP
    webhook.secret = secret
    _audit(session, webhook_id, "replace_secret", actor, {})
    session.flush()
    return webhook


def find_webhook(session: Session, webhook_id: int) -> Webhook:
    """Return a webhook; raise NotFound."""
    webhook = session.get(Webhook, webhook_id)
    if webhook is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    return webhook


def list_webhooks(session: Session, *, after_id: int | None, limit: int) -> Sequence[Webhook]:
    """Webhooks in the order in which they were made."""
    query = select(Webhook).order_by(Webhook.id).limit(limit)
    return session.scalars(query if after_id is None else query.where(Webhook.id > after_id)).all()


def list_deliveries(
    session: Session, webhook_id: int, *, state: str | None, before_id: int | None, limit: int
) -> list[DeliveryView]:
    """A webhook's log, newest first; raise NotFound."""
    find_webhook(session, webhook_id)
    query = (
        select(WebhookDelivery, OutboxEvent)
        .join_from(WebhookDelivery, OutboxEvent, OutboxEvent.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.webhook_id == webhook_id)
        .order_by(WebhookDelivery.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if before_id is not None:
        query = query.where(WebhookDelivery.id < before_id)
    return [DeliveryView(delivery, event) for delivery, event in session.execute(query)]


def redeliver(
    session: Session, webhook_id: int, delivery_id: int, *, actor: str, at: datetime
) -> DeliveryView:
    """Send an event once more, at once, whatever became of it; raise NotFound."""
    find_webhook(session, webhook_id)
    done = session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery_id, WebhookDelivery.webhook_id == webhook_id)
        .values(state="pending", attempts=0, next_attempt_at=at, delivered_at=None, last_error=None)
        .returning(WebhookDelivery.event_id)
        .execution_options(synchronize_session=False)
    ).first()
    if done is None:
        raise NotFound(f"The webhook {webhook_id} has no delivery {delivery_id}.")
    _audit(session, webhook_id, "redeliver", actor, {"delivery": delivery_id})
    delivery = session.get_one(WebhookDelivery, delivery_id, populate_existing=True)
    return DeliveryView(delivery, session.get_one(OutboxEvent, done[0]))


def note_attempt(
    session: Session, delivery: ClaimedDelivery, result: AttemptResult, *, now: datetime, chance: int
) -> None:
    """Keep what came of an attempt: delivered, to be tried again, or given up and the webhook disabled.

    `chance`, from 0 to 100, spreads the next attempts.
    """
    if result.delivered:
        note_success(session, delivery, result, now=now)
        return
    webhook = failing_webhook(session, delivery.webhook_id)
    if webhook is None:
        return
    wait = None if result.status == _GONE else retry_after(delivery.attempts, chance=chance)
    if wait is not None and result.retry_after is not None:
        wait = max(wait, min(result.retry_after, _LONGEST_WISH))
    note_failure(session, delivery, result, next_attempt_at=None if wait is None else now + wait)
    webhook.failures += 1
    pause = pause_after(webhook.failures)
    webhook.resume_at = now + pause if pause else None
    if wait is None:
        _disable(session, webhook, result, attempts=delivery.attempts, now=now)


def _disable(
    session: Session, webhook: Webhook, result: AttemptResult, *, attempts: int, now: datetime
) -> None:
    if result.status == _GONE:
        reason = "the receiver answered 410 Gone: it wants no more"
    else:
        reason = f"{attempts} attempts to deliver an event failed; the last one: {result.error}"
    if not webhook.active:
        return
    webhook.active, webhook.disabled_at, webhook.disabled_reason = False, now, reason
    session.flush()
    log.warning("webhook_disabled", webhook=webhook.id, reason=reason)
    _audit(session, webhook.id, "disable", _SENDER, {"reason": reason})
    publish(
        session,
        Event(
            EventKind.WEBHOOK_DISABLED,
            now,
            None,
            {"id": webhook.id, "url": without_secrets(webhook.url), "reason": reason},
        ),
    )


def is_private(host: str) -> bool:
    """Whether a host is written as an address that is not on the public internet."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not address.is_global or address.is_multicast


def _check(url: str, kinds: Sequence[str]) -> None:
    unknown = [kind for kind in kinds if kind not in EVENT_KINDS]
    if unknown:
        raise InvalidFields.one(
            "kinds", f"{unknown[0]} is no kind of event; there are {', '.join(EVENT_KINDS)}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    sound = (
        parts.scheme in ("http", "https")
        and parts.hostname
        and parts.username is None
        and not parts.fragment
        and port != 0
        and len(url) <= LONGEST_URL
        and url.isascii()
        and all(character.isprintable() and character != " " for character in url)
    )
    if not sound:
        raise InvalidFields.one("url", "it is not an http or https address such as https://example.com/hook")


def _locked(session: Session, webhook_id: int) -> Webhook:
    webhook = session.get(Webhook, webhook_id, with_for_update=True, populate_existing=True)
    if webhook is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    return webhook


def _audit(session: Session, webhook_id: int, action: str, actor: str, changes: Mapping[str, Any]) -> None:
    record_change(
        session, actor=actor, action=action, subject_kind="webhook", subject=webhook_id, changes=changes
    )

"""How messages flow: what is asked of the service comes in by the broker or directly, events go out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from billing_service.broker import BrokerLink
from billing_service.http_api.intake import BROKER, INTAKE, BrokerIntake, DirectIntake
from billing_service.http_api.services import SERVICES, Services
from billing_service.jobs.intake_workers import IntakeWorkers
from billing_service.jobs.outbox_sender import OutboxSender
from billing_service.jobs.webhook_sender import WebhookSender
from billing_service.storage.change_watch import ChangeWatch
from billing_service.storage.tables.events import EVENTS_CHANNEL
from billing_service.storage.waiting_events import note_broker


def add_intake(app: web.Application) -> None:
    """Let the handlers accept call events and close requests, by the broker when one is configured."""
    parts = app[SERVICES]
    if parts.settings.broker_url is None:
        app[INTAKE] = DirectIntake(parts)
        return
    app[BROKER] = _link(parts, parts.settings.broker_url)
    app[INTAKE] = BrokerIntake(parts, app[BROKER])
    app.cleanup_ctx.append(_connecting)


def add_sending(app: web.Application) -> None:
    """Let the application send what is in the outbox; call it after `add_intake`."""
    app.cleanup_ctx.append(_sending)


def _link(parts: Services, url: str) -> BrokerLink:
    workers = IntakeWorkers(
        parts.database,
        plans=parts.plans,
        currency=parts.settings.currency,
        zone=parts.settings.timezone,
        now=parts.now,
    )
    return BrokerLink(url, works=workers.works)


async def _connecting(app: web.Application) -> AsyncIterator[None]:
    app[BROKER].start()
    yield
    await app[BROKER].stop()


async def _sending(app: web.Application) -> AsyncIterator[None]:
    parts = app[SERVICES]
    configured = BROKER in app
    await parts.database.run(lambda session: note_broker(session, configured=configured))
    watch = ChangeWatch(parts.settings.database_url, EVENTS_CHANNEL)
    senders: list[WebhookSender | OutboxSender] = [
        WebhookSender(
            parts.database,
            now=parts.now,
            next_change=watch.next_change,
            allow_private=parts.settings.webhook_private,
        )
    ]
    if configured:
        senders.append(OutboxSender(parts.database, app[BROKER], next_change=watch.next_change))
    watch.start()
    for sender in senders:
        sender.start()
    yield
    for sender in senders:
        await sender.stop()
    await watch.close()

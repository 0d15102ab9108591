"""Webhooks: who gets which events, and what became of every delivery."""

import secrets
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from billing_service.domain.permissions import Scope
from billing_service.domain.webhook import SECRET_BYTES, make_secret, without_secrets
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.caller import caller
from billing_service.http_api.fields import OptionalLine, format_instant, format_optional_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.storage.tables import Webhook
from billing_service.use_cases.webhooks import (
    LONGEST_URL,
    DeliveryView,
    create_webhook,
    edit_webhook,
    find_webhook,
    list_deliveries,
    list_webhooks,
    redeliver,
    remove_webhook,
    replace_secret,
    webhook_version,
)

operations = Operations("webhooks")

WEBHOOK = r"/v1/webhooks/{id:[0-9]{1,18}}"

EventName = Literal[
    "account.opened",
    "account.suspended",
    "account.reactivated",
    "account.closed",
    "plan.changed",
    "call.rated",
    "record.rejected",
    "bill.closed",
    "bill.paid",
    "bill.overdue",
    "bill.revised",
    "bill.voided",
    "payment.taken",
    "credit.given",
    "refund.made",
    "webhook.disabled",
]
Address = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Kinds = Annotated[list[EventName], Field(max_length=50)]


class NewWebhook(RequestModel):
    """A new webhook; no kinds are all kinds."""

    url: Address
    description: OptionalLine = ""
    kinds: Kinds = Field(default_factory=list)


class WebhookChanges(ChangesModel):
    """What is to change. Setting `active` lets a webhook that was disabled go on with what waits for it."""

    url: Address = ""
    description: OptionalLine = ""
    kinds: Kinds = Field(default_factory=list)
    active: bool = True


class DeliveryQuery(PageQuery):
    """Which deliveries to list."""

    state: Literal["pending", "delivered", "given_up"] | None = None


class WebhookAnswer(AnswerModel):
    """A webhook. `failures` counts vain attempts since the last success; it rests until `resume_at`.

    `url` is whole for those who may change webhooks; for others it ends in `?…` where its query begins.
    """

    id: int
    url: str
    description: str
    kinds: list[str]
    active: bool
    disabled_at: InstantText | None
    disabled_reason: str | None
    failures: int
    resume_at: InstantText | None
    created_at: InstantText


class NewWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, which is shown this once."""

    secret: str


class SecretAnswer(AnswerModel):
    """A new secret, shown this once; for a day messages are signed with the old one as well."""

    secret: str


class DeliveryAnswer(AnswerModel):
    """One event on its way to one webhook. `last_status` is what the receiver answered last."""

    id: int
    event_id: str
    kind: str
    account: str | None
    occurred_at: InstantText
    state: str
    attempts: int
    last_attempt_at: InstantText | None
    last_status: int | None
    last_error: str | None
    next_attempt_at: InstantText | None
    delivered_at: InstantText | None


@operations.get("/v1/webhooks", scope=Scope.WEBHOOKS_READ)
async def get_webhooks(request: web.Request, query: PageQuery) -> Page[WebhookAnswer]:
    """List webhooks, the oldest first."""
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_webhooks(session, after_id=after[0] if after else None, limit=query.limit + 1)
    )
    return page(query, found, key=lambda webhook: (webhook.id,), show=lambda webhook: _show(request, webhook))


@operations.post("/v1/webhooks", scope=Scope.WEBHOOKS_WRITE, status=201, etag=True)
async def post_webhook(request: web.Request, body: NewWebhook) -> NewWebhookAnswer:
    """Send events to an address from now on; the secret that signs them is shown this once."""
    parts, who, secret = services(request), actor(request), _draw_secret()
    webhook = await parts.database.run(
        lambda session: create_webhook(
            session,
            url=body.url,
            description=body.description,
            kinds=body.kinds,
            secret=secret,
            actor=who,
            at=parts.now(),
        )
    )
    return NewWebhookAnswer(**_tagged(request, webhook).model_dump(), secret=secret)


@operations.get(WEBHOOK, scope=Scope.WEBHOOKS_READ, etag=True)
async def get_webhook(request: web.Request) -> WebhookAnswer:
    """Read one webhook."""
    webhook_id = _id(request)
    webhook = await services(request).database.run(lambda session: find_webhook(session, webhook_id))
    return _tagged(request, webhook)


@operations.patch(WEBHOOK, scope=Scope.WEBHOOKS_WRITE, if_match=True, etag=True)
async def patch_webhook(request: web.Request, body: WebhookChanges) -> WebhookAnswer:
    """Change some fields of a webhook."""
    changes, who, webhook_id = body.model_dump(exclude_unset=True), actor(request), _id(request)
    expected = expected_versions(request)
    webhook = await services(request).database.run(
        lambda session: edit_webhook(session, webhook_id, changes, actor=who, expected=expected)
    )
    return _tagged(request, webhook)


@operations.delete(WEBHOOK, scope=Scope.WEBHOOKS_WRITE, status=204)
async def delete_webhook(request: web.Request) -> None:
    """Remove a webhook with its log; what still waits for it is not sent."""
    who, webhook_id = actor(request), _id(request)
    await services(request).database.run(lambda session: remove_webhook(session, webhook_id, actor=who))


@operations.post(WEBHOOK + "/secret", scope=Scope.WEBHOOKS_WRITE)
async def post_webhook_secret(request: web.Request) -> SecretAnswer:
    """Give a webhook another secret, shown this once."""
    parts, who, webhook_id, secret = services(request), actor(request), _id(request), _draw_secret()
    await parts.database.run(
        lambda session: replace_secret(session, webhook_id, secret, actor=who, at=parts.now())
    )
    return SecretAnswer(secret=secret)


@operations.get(WEBHOOK + "/deliveries", scope=Scope.WEBHOOKS_READ)
async def get_deliveries(request: web.Request, query: DeliveryQuery) -> Page[DeliveryAnswer]:
    """List what was or is to be sent to a webhook, newest first."""
    after, webhook_id = query.after(int), _id(request)
    found = await services(request).database.run(
        lambda session: list_deliveries(
            session,
            webhook_id,
            state=query.state,
            before_id=after[0] if after else None,
            limit=query.limit + 1,
        )
    )
    return page(query, found, key=lambda view: (view.delivery.id,), show=_show_delivery)


@operations.post(
    WEBHOOK + r"/deliveries/{delivery_id:[0-9]{1,18}}/redeliver", scope=Scope.WEBHOOKS_WRITE, status=202
)
async def post_redeliver(request: web.Request) -> DeliveryAnswer:
    """Send an event once more, at once, whatever became of it."""
    parts, who, webhook_id = services(request), actor(request), _id(request)
    delivery_id = int(request.match_info["delivery_id"])
    return _show_delivery(
        await parts.database.run(
            lambda session: redeliver(session, webhook_id, delivery_id, actor=who, at=parts.now())
        )
    )


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _draw_secret() -> str:
    return make_secret(secrets.token_bytes(SECRET_BYTES))


def _tagged(request: web.Request, webhook: Webhook) -> WebhookAnswer:
    tag_answer(request, webhook_version(webhook))
    return _show(request, webhook)


def _show(request: web.Request, webhook: Webhook) -> WebhookAnswer:
    may_change = Scope.WEBHOOKS_WRITE in caller(request).scopes
    return WebhookAnswer(
        id=webhook.id,
        url=webhook.url if may_change else without_secrets(webhook.url),
        description=webhook.description,
        kinds=webhook.kinds,
        active=webhook.active,
        disabled_at=format_optional_instant(webhook.disabled_at),
        disabled_reason=webhook.disabled_reason,
        failures=webhook.failures,
        resume_at=format_optional_instant(webhook.resume_at),
        created_at=format_instant(webhook.created_at),
    )


def _show_delivery(view: DeliveryView) -> DeliveryAnswer:
    delivery = view.delivery
    return DeliveryAnswer(
        id=delivery.id,
        event_id=str(view.event.event_id),
        kind=view.event.kind,
        account=view.event.account,
        occurred_at=format_instant(view.event.occurred_at),
        state=delivery.state,
        attempts=delivery.attempts,
        last_attempt_at=format_optional_instant(delivery.last_attempt_at),
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        next_attempt_at=(format_instant(delivery.next_attempt_at) if delivery.state == "pending" else None),
        delivered_at=format_optional_instant(delivery.delivered_at),
    )

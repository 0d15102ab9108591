"""Sending to webhooks: signed, in order, again and again, and never held up by somebody else."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from sqlalchemy import URL, select, text
from sqlalchemy.orm import Session

from billing_service.domain.events import Event, EventKind
from billing_service.domain.webhook import MOST_ATTEMPTS, make_secret
from billing_service.jobs.webhook_sender import LEASE, WebhookSender
from billing_service.storage.outbox import publish
from billing_service.storage.tables import AuditEntry, OutboxEvent, Webhook, WebhookDelivery
from billing_service.storage.unit_of_work import Database
from billing_service.storage.webhook_deliveries import claim_deliveries, remove_old_events, route_events
from billing_service.use_cases.webhooks import (
    create_webhook,
    edit_webhook,
    redeliver,
    remove_webhook,
    replace_secret,
)
from tests.support.billing import FakeClock
from tests.support.billing_process import BillingPrograms
from tests.support.receiver import MakeReceiver, Received, Receiver

# How often billing is killed while it sends; `make soak` does so more often.
KILLS = min(int(os.environ.get("TOLLBELL_TEST_KILLS", "1")), 10)
SECRET = make_secret(b"k" * 32)
MakeSender = Callable[..., WebhookSender]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def make_sender(database: Database, clock: FakeClock) -> AsyncIterator[MakeSender]:
    senders: list[WebhookSender] = []

    def make(*, allow_private: bool = True, answer_timeout_s: float = 10.0) -> WebhookSender:
        sender = WebhookSender(
            database,
            now=clock,
            next_change=asyncio.Event,
            allow_private=allow_private,
            answer_timeout_s=answer_timeout_s,
        )
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.stop()


def add_webhook(database: Database, url: str, *kinds: str) -> int:
    return database.run_blocking(
        lambda session: (
            create_webhook(
                session,
                url=url,
                description="",
                kinds=kinds,
                secret=SECRET,
                actor="test",
                at=FakeClock()(),
            ).id
        )
    )


def tell(database: Database, *accounts: str | None, kind: EventKind = EventKind.ACCOUNT_CLOSED) -> None:
    """Publish one event for each of these accounts."""
    events = [Event(kind, FakeClock()(), account, {"number": account}) for account in accounts]
    database.run_blocking(lambda session: publish(session, *events))


def deliveries(database: Database) -> list[WebhookDelivery]:
    return database.run_blocking(
        lambda session: list(session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)))
    )


def webhook(database: Database) -> Webhook:
    return database.run_blocking(lambda session: session.scalars(select(Webhook)).one())


def is_signed(received: Received, secret: str) -> bool:
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, signed + received.body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}" in received.headers["webhook-signature"].split(" ")


async def test_an_event_arrives_signed_and_once(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    add_webhook(database, receiver.url)
    tell(database, "0001")
    sender = make_sender()

    await sender.send_due()
    await sender.send_due()

    (received,) = receiver.received
    assert received.event["type"] == "account.closed"
    assert received.event["account"] == "0001"
    assert received.headers["webhook-id"] == received.event["id"]
    assert received.headers["Content-Type"] == "application/json"
    assert is_signed(received, SECRET)
    (delivery,) = deliveries(database)
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 204)


async def test_a_webhook_gets_only_the_kinds_it_asked_for(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    add_webhook(database, receiver.url, "bill.closed", "account.opened")
    tell(database, "0001")
    tell(database, "0001", kind=EventKind.ACCOUNT_OPENED)

    await make_sender().send_due()

    assert receiver.kinds == ["account.opened"]


async def test_an_accounts_events_arrive_in_order_though_one_has_to_be_repeated(
    database: Database, receiver: Receiver, make_sender: MakeSender, clock: FakeClock
) -> None:
    add_webhook(database, receiver.url)
    for kind in (EventKind.ACCOUNT_OPENED, EventKind.ACCOUNT_SUSPENDED, EventKind.ACCOUNT_CLOSED):
        tell(database, "0001", kind=kind)
    receiver.statuses = [500]
    sender = make_sender()

    await sender.send_due()
    assert receiver.kinds == ["account.opened"]
    tell(database, "0002")
    await sender.send_due()
    assert receiver.kinds == ["account.opened", "account.closed"]  # 0002 does not wait for 0001
    clock.advance(timedelta(seconds=10))
    await sender.send_due()

    of_first = [one.event["type"] for one in receiver.received if one.event["account"] == "0001"]
    assert of_first == ["account.opened", "account.opened", "account.suspended", "account.closed"]
    repeated = [one.event["id"] for one in receiver.received if one.event["type"] == "account.opened"]
    assert len(set(repeated)) == 1


async def test_a_receiver_that_fails_is_tried_for_three_days_and_then_disabled_with_a_notice(
    database: Database, receiver: Receiver, make_sender: MakeSender, clock: FakeClock
) -> None:
    add_webhook(database, receiver.url)
    tell(database, "0001")
    receiver.statuses = [503] * 100
    sender = make_sender()
    began = clock()

    for _ in range(10_000):
        await sender.send_due()
        if not webhook(database).active:
            break
        (delivery,) = deliveries(database)
        clock.at = max(delivery.next_attempt_at, webhook(database).resume_at or clock.at)

    assert len(receiver.received) == MOST_ATTEMPTS
    assert timedelta(days=2) < clock() - began < timedelta(days=4)
    disabled = webhook(database)
    assert not disabled.active
    assert "15 attempts" in (disabled.disabled_reason or "")
    assert "503" in (disabled.disabled_reason or "")
    assert [one.state for one in deliveries(database)] == ["given_up"]
    actions = database.run_blocking(lambda session: list(session.scalars(select(AuditEntry.action))))
    assert actions[-1] == "disable"


async def test_others_are_told_of_a_webhook_that_was_disabled(
    database: Database, make_receiver: MakeReceiver, make_sender: MakeSender
) -> None:
    gone, other = await make_receiver(), await make_receiver()
    gone.statuses = [410]
    add_webhook(database, gone.url, "account.closed")
    add_webhook(database, other.url, "webhook.disabled")
    tell(database, "0001")

    await make_sender().send_due()

    (told,) = other.received
    assert told.event["data"]["url"] == gone.url
    assert "410 Gone" in told.event["data"]["reason"]


async def test_what_waited_is_sent_when_a_webhook_is_activated_again(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    number = add_webhook(database, receiver.url)
    receiver.statuses = [410]
    tell(database, "0001", "0001")
    sender = make_sender()
    await sender.send_due()
    assert len(receiver.received) == 1

    database.run_blocking(lambda session: edit_webhook(session, number, {"active": True}, actor="test"))
    await sender.send_due()

    assert [one.state for one in deliveries(database)] == ["given_up", "delivered"]


async def test_an_event_can_be_sent_once_more(
    database: Database, receiver: Receiver, make_sender: MakeSender, clock: FakeClock
) -> None:
    number = add_webhook(database, receiver.url)
    tell(database, "0001")
    sender = make_sender()
    await sender.send_due()
    (delivery,) = deliveries(database)

    database.run_blocking(lambda session: redeliver(session, number, delivery.id, actor="test", at=clock()))
    await sender.send_due()

    first, second = receiver.received
    assert first.body == second.body


async def test_a_receiver_that_hangs_holds_nobody_else_up(
    database: Database, make_receiver: MakeReceiver, make_sender: MakeSender
) -> None:
    hanging, quick = await make_receiver(), await make_receiver()
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    hanging.answering = hang
    add_webhook(database, hanging.url)
    add_webhook(database, quick.url)
    tell(database, *(f"{number:04}" for number in range(30)))
    sending = asyncio.create_task(make_sender().send_due())

    await quick.has(30)

    assert hanging.most_at_once <= 8
    assert not sending.done()
    released.set()
    await sending


async def test_an_answer_that_does_not_come_is_a_failure(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answering = hang
    add_webhook(database, receiver.url)
    tell(database, "0001")

    await make_sender(answer_timeout_s=0.1).send_due()

    (delivery,) = deliveries(database)
    assert (delivery.state, delivery.last_error) == ("pending", "no answer within 0.1 s")


async def test_a_huge_answer_is_not_read(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        answer = web.StreamResponse()
        await answer.prepare(request)
        while written < 200_000_000:
            await answer.write(b"x" * 100_000)
            written += 100_000
        return answer

    receiver.answering = flood
    add_webhook(database, receiver.url)
    tell(database, "0001")

    await make_sender().send_due()

    assert [one.state for one in deliveries(database)] == ["delivered"]
    assert written < 50_000_000


async def test_no_address_with_a_token_gets_into_logs_and_events(
    database: Database, make_receiver: MakeReceiver, make_sender: MakeSender
) -> None:
    gone, other = await make_receiver(), await make_receiver()
    gone.statuses = [410]
    number = add_webhook(database, f"{gone.url}?token=1", "account.closed")
    add_webhook(database, other.url, "webhook.disabled")
    tell(database, "0001")
    await make_sender().send_due()

    def edit(url: str) -> None:
        database.run_blocking(lambda session: edit_webhook(session, number, {"url": url}, actor="test"))

    edit("http://example.com/?token=2")
    edit("http://example.com/?token=3")
    database.run_blocking(lambda session: remove_webhook(session, number, actor="test"))
    (told,) = other.received
    assert told.event["data"]["url"] == f"{gone.url}?…"
    kept = database.run_blocking(
        lambda session: [(entry.previous, entry.changes) for entry in session.scalars(select(AuditEntry))]
    )
    assert "token" not in str(kept)
    # Another token at the same address is a change, although it looks the same.
    assert kept[-2] == ({}, {"url": "http://example.com/?…"})


async def test_an_answer_that_is_no_http_is_told_without_its_text_and_the_address(
    database: Database, make_sender: MakeSender
) -> None:
    async def no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"word\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(no_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        add_webhook(database, f"http://127.0.0.1:{port}/?token=1")
        tell(database, "0001")
        await make_sender().send_due()

    (delivery,) = deliveries(database)
    assert delivery.last_error is not None
    assert delivery.last_error.startswith("ClientResponseError: ")
    assert "token" not in delivery.last_error
    assert "word" not in delivery.last_error


async def test_redirects_are_not_followed(
    database: Database, make_receiver: MakeReceiver, make_sender: MakeSender
) -> None:
    redirecting, target = await make_receiver(), await make_receiver()

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": target.url})

    redirecting.answering = redirect
    add_webhook(database, redirecting.url)
    tell(database, "0001")

    await make_sender().send_due()

    assert target.received == []
    (delivery,) = deliveries(database)
    assert (delivery.state, delivery.last_status) == ("pending", 307)
    assert delivery.last_error == "it answered 307"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"])
async def test_private_addresses_can_be_forbidden(
    database: Database, receiver: Receiver, make_sender: MakeSender, host: str
) -> None:
    add_webhook(database, f"http://{host}:{receiver.server.port}/hook")
    tell(database, "0001")

    await make_sender(allow_private=False, answer_timeout_s=3).send_due()

    assert receiver.received == []
    (delivery,) = deliveries(database)
    assert "the settings forbid" in (delivery.last_error or "")


async def test_a_changed_secret_signs_at_once_and_the_old_one_for_a_day(
    database: Database, receiver: Receiver, make_sender: MakeSender, clock: FakeClock
) -> None:
    number = add_webhook(database, receiver.url)
    new = make_secret(b"n" * 32)
    database.run_blocking(lambda session: replace_secret(session, number, new, actor="test", at=clock()))
    sender = make_sender()

    tell(database, "0001")
    await sender.send_due()
    clock.advance(timedelta(hours=25))
    tell(database, "0001")
    await sender.send_due()

    at_once, later = receiver.received
    assert is_signed(at_once, new)
    assert is_signed(at_once, SECRET)
    assert is_signed(later, new)
    assert not is_signed(later, SECRET)


async def test_several_senders_send_each_event_once(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    add_webhook(database, receiver.url)
    tell(database, *(f"{number:04}" for number in range(100)))

    await asyncio.gather(*(make_sender().send_due() for _ in range(3)))

    assert sorted(one.event["account"] for one in receiver.received) == [f"{n:04}" for n in range(100)]


async def test_what_a_dead_sender_had_claimed_is_sent_by_another_once_its_time_is_over(
    database: Database, receiver: Receiver, make_sender: MakeSender, clock: FakeClock
) -> None:
    number = add_webhook(database, receiver.url)
    tell(database, "0001")

    def claim(session: Session) -> int:
        route_events(session, now=clock())
        return len(claim_deliveries(session, number, now=clock(), lease=LEASE, limit=8))

    assert database.run_blocking(claim) == 1
    sender = make_sender()
    await sender.send_due()
    assert receiver.received == []
    clock.advance(LEASE)
    await sender.send_due()
    assert len(receiver.received) == 1


async def test_a_running_sender_is_woken_and_survives_a_receiver_that_is_away(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    add_webhook(database, "http://127.0.0.1:9/")  # nobody listens there
    add_webhook(database, receiver.url)
    sender = make_sender()
    changed = asyncio.Event()
    sender._next_change = lambda: changed
    sender.start()

    tell(database, "0001")
    changed.set()

    await receiver.has(1)


async def test_old_events_go_with_their_log_but_not_what_waits(
    database: Database, receiver: Receiver, make_sender: MakeSender
) -> None:
    add_webhook(database, receiver.url)
    tell(database, "0001", "0002")
    receiver.statuses = [500]
    await make_sender().send_due()
    later = text("UPDATE outbox_events SET created_at = created_at - interval '20 days'")
    database.run_blocking(lambda session: session.execute(later))
    limit = database.run_blocking(lambda session: session.scalar(select(text("now() - interval '14 days'"))))

    removed = database.run_blocking(lambda session: remove_old_events(session, before=limit))

    assert removed == 1
    left = database.run_blocking(lambda session: list(session.scalars(select(OutboxEvent.account))))
    assert len(left) == 1
    assert [one.state for one in deliveries(database)] == ["pending"]


def let_claims_end(database: Database) -> None:
    """As if a minute had passed for what a dead sender had claimed."""
    later = text("UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at - interval '1 minute'")
    database.run_blocking(lambda session: session.execute(later))


async def test_a_service_killed_while_it_sends_loses_nothing(
    billing_programs: BillingPrograms, database_url: URL, database: Database, receiver: Receiver
) -> None:
    add_webhook(database, receiver.url)
    accounts = [f"{number % 20:04}" for number in range(300)]
    tell(database, *accounts)
    place = {"TOLLBELL_DATABASE_URL": database_url.render_as_string(hide_password=False)}
    service = billing_programs.start("serve", **place)

    for kill in range(KILLS):
        await receiver.has(40 + 20 * kill)
        service.kill()
        await asyncio.to_thread(service.wait)
        assert any(one.state == "pending" for one in deliveries(database)), "killed too late"
        let_claims_end(database)
        service = billing_programs.start("serve", **place)
    async with asyncio.timeout(60):
        while any(one.state == "pending" for one in deliveries(database)):
            await asyncio.sleep(0.1)

    first_seen = {one.event["id"]: one.event["account"] for one in receiver.received}
    assert sorted(first_seen.values()) == sorted(accounts)
    assert len(receiver.received) <= 300 + KILLS * 8, "only what was under way is repeated"

"""With a broker: what it has confirmed is not lost, whoever is away, and arrives once."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from sqlalchemy import URL, func, select, text

from billing_service.broker import CALL_EVENTS, CLOSE_REQUESTS, DEAD_LETTERS, EVENTS, BrokerLink
from billing_service.broker.consumer import BatchConsumer, Postponed, TakeBatch
from billing_service.broker.dead_letters import list_dead_letters
from billing_service.domain import events as events_out
from billing_service.domain.call_event import CallEvent, CloseRequest, EventKind
from billing_service.http_api.intake import BROKER, INTAKE
from billing_service.storage.outbox import publish
from billing_service.storage.tables import Call, CallEventPair
from billing_service.storage.unit_of_work import Database
from tests.support.billing import Billing, MakeBilling
from tests.support.billing_process import BillingPrograms, eventually
from tests.support.events import VALIDATOR, written
from tests.support.tcp_relay import TcpRelay

# How often a worker is killed; `make soak` does so more often.
KILLS = min(int(os.environ.get("TOLLBELL_TEST_KILLS", "1")), 10)
STARTED_AT = datetime(2026, 11, 21, 19, tzinfo=UTC)


def start_of(call: int) -> CallEvent:
    return CallEvent(f"s{call}", EventKind.START, STARTED_AT, f"call-{call}", "0001", "0002")


def end_of(call: int) -> CallEvent:
    return CallEvent(f"e{call}", EventKind.END, STARTED_AT + timedelta(minutes=1), f"call-{call}", None, None)


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def channel(broker_url: str) -> AsyncIterator[AbstractChannel]:
    """A client of the broker of the test's own."""
    connection = await aio_pika.connect(broker_url)
    yield await connection.channel(on_return_raises=True)
    await connection.close()


@pytest_asyncio.fixture
async def brokered(make_billing: MakeBilling, broker_relay: TcpRelay) -> Billing:
    """Billing with a broker that the test can cut off."""
    billing: Billing = await make_billing(broker_url=f"amqp://guest:guest@127.0.0.1:{broker_relay.port}/")
    await connected(billing)
    return billing


async def connected(billing: Billing) -> None:
    async with asyncio.timeout(60):
        await billing.client.app[BROKER].connected.wait()


def count_calls(database: Database) -> int:
    return database.run_blocking(lambda session: session.scalar(select(func.count()).select_from(Call)) or 0)


async def stored(database: Database, calls: int) -> None:
    async def enough() -> bool:
        return await database.run(
            lambda session: (
                session.scalar(
                    select(func.count())
                    .select_from(CallEventPair)
                    .where(CallEventPair.started_at.is_not(None), CallEventPair.ended_at.is_not(None))
                )
                == calls
            )
        )

    await until(enough)


async def put(channel: AbstractChannel, queue: str, body: bytes) -> None:
    await channel.default_exchange.publish(aio_pika.Message(body), queue)


async def waiting(channel: AbstractChannel, queue: str) -> int:
    found = await channel.declare_queue(queue, passive=True)
    return found.declaration_result.message_count or 0


async def test_call_events_go_through_the_queue_in_batches_and_make_a_call_each(brokered: Billing) -> None:
    await brokered.add_account("0001")
    intake = brokered.client.app[INTAKE]

    await asyncio.gather(
        *(intake.accept_call_event(event(call)) for call in range(100) for event in (end_of, start_of))
    )
    await stored(brokered.database, 100)
    await asyncio.gather(*(intake.accept_call_event(start_of(call)) for call in range(100)))

    assert count_calls(brokered.database) == 100


async def test_events_are_accepted_while_the_database_is_away_and_stored_when_it_is_back(
    make_billing: MakeBilling, broker_url: str, database_url: URL, database: Database
) -> None:
    sockets = database_url.query["host"]
    assert isinstance(sockets, str)
    relay = TcpRelay(_socket_in(sockets))
    await relay.open()
    billing: Billing = await make_billing(
        broker_url=broker_url,
        database_url=database_url.set(host="127.0.0.1", port=relay.port, query={}),
    )
    await billing.add_account("0001")
    await connected(billing)
    assert (await billing.post("/v1/call", start_of(1).to_document())).status == 202

    await relay.cut()
    assert (await billing.get("/v1/customers")).status == 503
    for event in (end_of(1), start_of(2), end_of(2)):
        answer = await billing.post("/v1/call", event.to_document())
        assert (answer.status, answer.body) == (202, {"transaction_id": event.transaction_id})
    await relay.open()

    await stored(database, 2)
    assert count_calls(database) == 2
    await relay.cut()


def _socket_in(directory: str) -> Path:
    return next(path for path in Path(directory).glob(".s.PGSQL.*") if path.is_socket())


async def test_without_the_broker_nothing_is_accepted_and_it_comes_back_by_itself(
    brokered: Billing, broker_relay: TcpRelay
) -> None:
    await brokered.add_account("0001")

    assert (await brokered.get("/health")).body["broker"] == "ok"
    await broker_relay.cut()
    refused = await brokered.post("/v1/call", start_of(1).to_document())
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert "broker" in refused.body["detail"]
    assert (await brokered.get("/health")).body["status"] == "degraded"
    await broker_relay.open()

    async def accepted() -> bool:
        answers = [await brokered.post("/v1/call", event.to_document()) for event in (start_of(1), end_of(1))]
        return [answer.status for answer in answers] == [202, 202]

    await until(accepted)
    await stored(brokered.database, 1)


async def test_a_broker_that_is_silent_is_no_broker(brokered: Billing, broker_relay: TcpRelay) -> None:
    await brokered.add_account("0001")

    broker_relay.freeze()
    refused = await brokered.post("/v1/call", start_of(1).to_document())
    assert refused.status == 503
    broker_relay.thaw()
    # What was refused may have arrived all the same, so it is posted again.
    for event in (start_of(1), end_of(1)):
        assert (await brokered.post("/v1/call", event.to_document())).status == 202

    await stored(brokered.database, 1)
    assert count_calls(brokered.database) == 1


async def test_the_service_stops_though_the_broker_is_silent(
    brokered: Billing, broker_relay: TcpRelay
) -> None:
    broker_relay.freeze()

    async with asyncio.timeout(10):
        await brokered.client.close()


async def test_poison_goes_to_the_dead_letters_with_the_reason_and_spoils_nothing(
    brokered: Billing, channel: AbstractChannel
) -> None:
    await brokered.add_account("0001")
    link = brokered.client.app[BROKER]
    poison = [b"\xff\xfe", b"[1]", json.dumps({"id": "x", "type": "start"}).encode(), b"[" * 100_000]

    for body in poison:
        await put(channel, CALL_EVENTS, body)
    for event in (start_of(1), end_of(1)):
        await put(channel, CALL_EVENTS, json.dumps(event.to_document()).encode())

    await stored(brokered.database, 1)

    async def all_buried() -> bool:
        return await waiting(channel, DEAD_LETTERS) == len(poison)

    await until(all_buried)
    letters = await list_dead_letters(link)
    assert {letter.queue for letter in letters} == {CALL_EVENTS}
    assert "source" in next(letter.reason for letter in letters if '"type"' in letter.body)
    assert sum("no JSON" in letter.reason for letter in letters) == 2
    # Having been looked at, they are still there.
    await until(all_buried)


async def test_a_dead_letter_can_be_put_back_or_removed(brokered: Billing, channel: AbstractChannel) -> None:
    link = brokered.client.app[BROKER]
    for month in (1, 2, 3):
        await brokered.client.app[INTAKE].accept_close(CloseRequest("0001", month, 2026))

    async def all_buried() -> bool:
        return await waiting(channel, DEAD_LETTERS) == 3

    await until(all_buried)
    letters = await list_dead_letters(link)
    shown = (await brokered.get("/v1/dead-letters")).body["items"]
    assert {letter["id"] for letter in shown} == {letter.letter_id for letter in letters}
    assert {letter.reason for letter in letters} == {"There is no phone account 0001."}
    first, second = letters[0].letter_id, letters[1].letter_id

    put_back = await brokered.post(f"/v1/dead-letters/{first}/requeue")
    assert put_back.body == {"messages": 1}
    await until(all_buried)  # it died again: there is still no such account
    assert (await brokered.request("DELETE", f"/v1/dead-letters/{second}")).body == {"messages": 1}
    assert (await brokered.request("DELETE", f"/v1/dead-letters/{second}")).status == 404

    async def only_second_is_gone() -> bool:
        left = {letter.letter_id for letter in await list_dead_letters(link)}
        return left == {letter.letter_id for letter in letters} - {second}

    await until(only_second_is_gone)


async def test_a_close_request_closes_the_bill(brokered: Billing, channel: AbstractChannel) -> None:
    brokered.clock.at = datetime(2026, 9, 1, tzinfo=UTC)
    await brokered.add_account("0001", billing_day=1)
    brokered.clock.at = datetime(2026, 11, 21, tzinfo=UTC)

    answer = await brokered.post("/v1/bill/0001/close", {"month": 9, "year": 2026})

    assert answer.status == 202

    async def closed() -> bool:
        return bool((await brokered.get("/v1/bills", account="0001")).body["items"])

    await until(closed)
    assert await waiting(channel, CLOSE_REQUESTS) == 0


async def test_a_month_that_is_not_over_is_refused_at_once(brokered: Billing) -> None:
    answer = await brokered.post("/v1/bill/0001/close", {"month": 11, "year": 2026})

    assert answer.status == 409
    assert "before it is over" in answer.body["detail"]


async def test_events_reach_the_topic_exchange_in_order_even_when_the_broker_was_away(
    make_billing: MakeBilling, broker_relay: TcpRelay, channel: AbstractChannel
) -> None:
    exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue("", exclusive=True)
    await queue.bind(exchange, "account.#")
    billing: Billing = await make_billing(
        broker_url=f"amqp://guest:guest@127.0.0.1:{broker_relay.port}/", sends_events=True
    )
    await connected(billing)

    await billing.add_account("0001")
    await broker_relay.cut()
    for step in ("suspend", "reactivate", "suspend", "reactivate", "close"):
        assert (await billing.post(f"/v1/phone-accounts/0001/{step}")).status == 200
    await broker_relay.open()

    received: dict[str, dict[str, Any]] = {}  # by identity: an event may come twice
    async with asyncio.timeout(60), queue.iterator() as messages:
        async for message in messages:
            event = json.loads(message.body)
            VALIDATOR.validate(event)
            assert message.message_id == event["id"]
            assert message.routing_key == event["type"]
            received.setdefault(event["id"], event)
            await message.ack()
            if event["type"] == "account.closed":
                break
    assert [event["type"] for event in received.values()] == [
        "account.opened",
        "account.suspended",
        "account.reactivated",
        "account.suspended",
        "account.reactivated",
        "account.closed",
    ]

    async def outbox_is_empty() -> bool:
        return written(billing.database) == []

    await until(outbox_is_empty)


async def test_hundreds_of_events_keep_their_order(
    make_billing: MakeBilling, broker_url: str, channel: AbstractChannel
) -> None:
    exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue("", exclusive=True)
    await queue.bind(exchange, "#")
    billing: Billing = await make_billing(broker_url=broker_url, sends_events=True)
    await connected(billing)
    events = [
        events_out.Event(events_out.EventKind.PLAN_CHANGED, STARTED_AT, "0001", {"place": place})
        for place in range(1200)
    ]

    await billing.database.run(lambda session: publish(session, *events))

    places: list[int] = []
    async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            places.append(json.loads(message.body)["data"]["place"])
            if len(places) == len(events):
                break
    assert places == list(range(1200))


async def consuming(url: str, take: TakeBatch, until_possible: Callable[[], Awaitable[None]]) -> BrokerLink:
    link = BrokerLink(url, works=[BatchConsumer(CALL_EVENTS, take, until_possible=until_possible)])
    link.start()
    await link.connected.wait()
    return link


async def test_one_message_that_breaks_the_work_does_not_take_its_batch_along(
    broker_url: str, channel: AbstractChannel
) -> None:
    taken: list[Any] = []

    async def take(documents: Sequence[Any]) -> list[str | None]:
        if "bad" in documents:
            raise ValueError("nobody expected that")
        taken.extend(documents)
        return [None for _ in documents]

    async def at_once() -> None:
        return None

    link = await consuming(broker_url, take, at_once)
    for document in ("one", "bad", "two"):
        await put(channel, CALL_EVENTS, json.dumps(document).encode())

    async def one_is_buried() -> bool:
        return await waiting(channel, DEAD_LETTERS) == 1

    await until(one_is_buried)
    (letter,) = await list_dead_letters(link)
    assert (letter.body, letter.reason) == ('"bad"', "ValueError: nobody expected that")
    assert sorted(taken) == ["one", "two"]
    await link.stop()


async def test_what_is_postponed_comes_again_when_the_work_is_possible(
    broker_url: str, channel: AbstractChannel
) -> None:
    possible = asyncio.Event()
    possible.set()
    taken: list[Any] = []

    async def take(documents: Sequence[Any]) -> list[str | None]:
        if not possible.is_set():
            raise Postponed("not now")
        taken.extend(documents)
        return [None for _ in documents]

    async def until_possible() -> None:
        await possible.wait()

    link = await consuming(broker_url, take, until_possible)
    await put(channel, CALL_EVENTS, b"1")

    async def took(count: int) -> bool:
        return len(taken) == count

    await until(lambda: took(1))
    possible.clear()
    await put(channel, CALL_EVENTS, b"2")

    async def given_back() -> bool:
        return await waiting(channel, CALL_EVENTS) == 1

    await until(given_back)
    possible.set()
    await until(lambda: took(2))
    assert taken == [1, 2]
    assert await waiting(channel, DEAD_LETTERS) == 0
    await link.stop()


async def test_without_a_broker_no_event_is_written_for_one(make_billing: MakeBilling) -> None:
    billing: Billing = await make_billing(sends_events=True)

    await billing.add_account("0001")

    assert written(billing.database) == []
    assert (
        billing.database.run_blocking(
            lambda session: session.scalar(text("SELECT count(*) FROM event_sinks"))
        )
        == 0
    )


async def test_a_worker_killed_in_a_batch_leaves_every_call_stored_once(
    billing_programs: BillingPrograms,
    database_url: URL,
    database: Database,
    broker_url: str,
    channel: AbstractChannel,
) -> None:
    calls = 300 * (KILLS + 1)
    settings = {
        "TOLLBELL_DATABASE_URL": database_url.render_as_string(hide_password=False),
        "TOLLBELL_BROKER_URL": broker_url,
    }
    service = billing_programs.start("serve", **settings)
    await asyncio.to_thread(eventually, lambda: billing_programs.health() == 200, "the service is up")
    await asyncio.to_thread(_open_account, billing_programs)
    events = [event(call) for call in range(calls) for event in (start_of, end_of)]
    await asyncio.gather(
        *(put(channel, CALL_EVENTS, json.dumps(event.to_document()).encode()) for event in events)
    )

    for kill in range(KILLS):
        await until(_has_stored(database, 300 * kill + 20))
        service.kill()
        await asyncio.to_thread(service.wait)
        assert count_calls(database) < calls, "killed too late to prove anything"
        service = billing_programs.start("serve", **settings)
    await until(_has_stored(database, calls))

    async def all_acknowledged() -> bool:
        return await waiting(channel, CALL_EVENTS) == 0

    await until(all_acknowledged)
    assert count_calls(database) == calls
    assert await waiting(channel, DEAD_LETTERS) == 0


def _has_stored(database: Database, calls: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return count_calls(database) >= calls

    return enough


def _open_account(programs: BillingPrograms) -> None:
    _, customer = programs.request("POST", "/v1/customers", {"name": "Alice"})
    price = {"per_minute": "0.10"}
    _, plan = programs.request("POST", "/v1/plans", {"name": "P", "monthly_fee": "0", "base_price": price})
    status, _ = programs.request(
        "POST",
        "/v1/phone-accounts",
        {"number": "0001", "customer_id": customer["id"], "plan_id": plan["id"]},
    )
    assert status == 201

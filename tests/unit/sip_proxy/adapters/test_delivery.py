"""Delivery of call records: at least once, promptly, and never forgotten without a final answer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import (
    DeliveryResult,
    RefusedByBilling,
    UnableToReachBilling,
    UnexpectedAnswer,
)
from sip_proxy.adapters.delivery import LARGEST_BATCH, Delivery
from sip_proxy.adapters.journal_store import UndeliveredRecord


class Records:
    """Undelivered records in memory, with the journal's rules."""

    def __init__(self, *names: str) -> None:
        self.waiting = list(names)
        self.is_broken = False

    async def next_records(self, limit: int) -> list[UndeliveredRecord]:
        if self.is_broken:
            raise sqlite3.OperationalError("disk I/O error")
        return [
            UndeliveredRecord(place, name, f"record {name}")
            for place, name in enumerate(self.waiting[:limit])
        ]

    async def forget_records(self, records: Sequence[UndeliveredRecord]) -> None:
        for record in sorted(records, key=lambda each: each.sequence, reverse=True):
            assert self.waiting.pop(record.sequence) == record.record_id

    async def put_last(self, records: Sequence[UndeliveredRecord]) -> None:
        last = {record.record_id for record in records}
        self.waiting.sort(key=lambda name: name in last)


class Billing:
    """A billing service that answers as it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failure: Exception | None = None
        self.unreadable: set[str] = set()
        self.unanswered: set[str] = set()
        self.rejected: dict[str, str] = {}

    async def deliver(self, records: Sequence[str]) -> list[DeliveryResult]:
        names = [record.removeprefix("record ") for record in records]
        self.batches.append(names)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if self.unreadable & set(names):
            raise RefusedByBilling("HTTP 422: what is this?")
        return [
            DeliveryResult(name, self.rejected.get(name)) for name in names if name not in self.unanswered
        ]


class Clockwork(Backoff):
    """Delays of no length, that are counted."""

    def __init__(self) -> None:
        super().__init__(random=lambda: 0.0)
        self.pauses = 0

    def next_delay_s(self) -> float:
        self.pauses += 1
        return 0.0


@pytest.fixture
def billing() -> Billing:
    return Billing()


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Records, Billing], tuple[Delivery, Clockwork]]]:
    tasks: list[asyncio.Task[None]] = []

    def start(records: Records, billing: Billing) -> tuple[Delivery, Clockwork]:
        backoff = Clockwork()
        delivery = Delivery(records, billing, backoff=backoff, undelivered=len(records.waiting), interval_s=0)
        tasks.append(asyncio.ensure_future(delivery.run()))
        return delivery, backoff

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Start = Callable[[Records, Billing], tuple[Delivery, Clockwork]]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


async def test_delivers_what_waits_at_the_start(start: Start, billing: Billing) -> None:
    records = Records("a", "b")
    delivery, _ = start(records, billing)
    await until(lambda: not records.waiting)

    assert billing.batches == [["a", "b"]]
    await until(lambda: delivery.undelivered == 0)
    assert delivery.delivered_count == 2


async def test_delivers_a_new_record_at_once(start: Start, billing: Billing) -> None:
    records = Records()
    delivery, backoff = start(records, billing)
    await until(lambda: True)
    records.waiting.append("a")
    delivery.records_committed(1)
    await until(lambda: not records.waiting)

    assert backoff.pauses == 0


async def test_delivers_in_batches(start: Start, billing: Billing) -> None:
    records = Records(*(str(number) for number in range(LARGEST_BATCH + 1)))
    start(records, billing)
    await until(lambda: not records.waiting)

    assert [len(batch) for batch in billing.batches] == [LARGEST_BATCH, 1]


@pytest.mark.parametrize("failure", [UnableToReachBilling("refused"), UnexpectedAnswer("not JSON")])
async def test_delivers_again_until_billing_answers(
    start: Start, billing: Billing, failure: Exception
) -> None:
    records = Records("a")
    billing.failure = failure
    delivery, backoff = start(records, billing)
    await until(lambda: len(billing.batches) >= 3)

    assert records.waiting == ["a"]
    assert delivery.undelivered == 1

    billing.failure = None
    await until(lambda: not records.waiting)
    assert backoff.pauses >= 2


async def test_a_record_without_a_final_answer_is_delivered_again(start: Start, billing: Billing) -> None:
    records = Records("a", "b")
    billing.unanswered = {"a"}
    start(records, billing)
    await until(lambda: len(billing.batches) >= 2)

    assert billing.batches[:2] == [["a", "b"], ["a"]]
    assert records.waiting == ["a"]


async def test_a_record_without_a_final_answer_does_not_hold_up_the_others(
    start: Start, billing: Billing
) -> None:
    """Not even while records are sent one by one, to find one that billing can't read."""
    records = Records(*"abcdefgh")
    billing.unanswered = {"a"}
    billing.unreadable = {"c"}
    start(records, billing)

    await until(lambda: sorted(records.waiting) == ["a", "c"])


async def test_a_rejected_record_is_billings_own_affair(start: Start, billing: Billing) -> None:
    records = Records("a")
    billing.rejected = {"a": "ended_at is before answered_at"}
    delivery, _ = start(records, billing)
    await until(lambda: not records.waiting)

    await until(lambda: delivery.rejected_count == 1)


async def test_an_answer_about_other_records_forgets_nothing(
    start: Start, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def confused(records: Sequence[str]) -> list[DeliveryResult]:
        billing.batches.append(list(records))
        return [DeliveryResult("b", None)]

    monkeypatch.setattr(billing, "deliver", confused)
    records = Records("a")
    start(records, billing)
    await until(lambda: len(billing.batches) >= 2)

    assert records.waiting == ["a"]


async def test_one_record_that_billing_cannot_read_does_not_hold_up_the_others(
    start: Start, billing: Billing
) -> None:
    records = Records(*"abcdefgh")
    billing.unreadable = {"c"}
    start(records, billing)
    await until(lambda: records.waiting == ["c"])

    billing.unreadable = set()
    await until(lambda: not records.waiting)


async def test_a_journal_that_cannot_be_read_is_asked_again(start: Start, billing: Billing) -> None:
    records = Records("a")
    records.is_broken = True
    _, backoff = start(records, billing)
    await until(lambda: backoff.pauses >= 2)
    records.is_broken = False

    await until(lambda: not records.waiting)


async def test_billing_being_back_ends_the_wait(billing: Billing) -> None:
    class Patient(Clockwork):
        def next_delay_s(self) -> float:
            self.pauses += 1
            return 3600.0

    records, backoff = Records("a"), Patient()
    billing.failure = UnableToReachBilling("refused")
    delivery = Delivery(records, billing, backoff=backoff, undelivered=1, interval_s=0)
    task = asyncio.ensure_future(delivery.run())
    await until(lambda: backoff.pauses == 1)
    await until(lambda: True)
    billing.failure = None
    delivery.billing_is_back()
    await until(lambda: not records.waiting)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_delays_double_up_to_the_longest_and_begin_again() -> None:
    backoff = Backoff(random=lambda: 1.0, first_s=0.2, longest_s=1.0)

    assert [backoff.next_delay_s() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.next_delay_s() == 0.2


def test_delays_are_spread_over_half_of_their_span() -> None:
    assert Backoff(random=lambda: 0.0, first_s=1.0).next_delay_s() == 0.5


@pytest.mark.parametrize(
    ("records", "interval_s"),
    [pytest.param(1, 0.25, id="a few"), pytest.param(100, 2.0, id="as many as tell of load")],
)
async def test_deliveries_keep_their_distance_and_more_of_it_under_load(
    billing: Billing, records: int, interval_s: float
) -> None:
    waiting = Records(*(str(index) for index in range(records)))
    rested_s: list[float] = []

    async def sleep(duration_s: float) -> None:
        rested_s.append(duration_s)

    delivery = Delivery(waiting, billing, backoff=Clockwork(), undelivered=records, sleep=sleep)
    running = asyncio.ensure_future(delivery.run())
    await until(lambda: bool(rested_s))
    running.cancel()

    assert [len(batch) for batch in billing.batches] == [records]
    assert rested_s == [interval_s]

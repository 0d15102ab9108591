"""Several intakes of the same events and files at once, in any order, with repeats: each call once."""

import io
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.call_event import CallEvent
from billing_service.storage.tables import Call, CallEventPair, Customer, PhoneAccount, RejectedCallRecord
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.import_block import Import
from billing_service.use_cases.import_calls import import_calls
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.take_call_event import take_call_events
from tests.support.billing import Billing
from tests.support.call_files import asterisk_line, set_default_plan

NOON = datetime(2026, 2, 27, 12, tzinfo=UTC)
CALLS = 60


def events_of(call: int) -> list[CallEvent]:
    """A call of so many minutes; every tenth is of another month, and every seventh never ends."""
    begins = NOON + timedelta(minutes=call) - timedelta(days=31 * (call % 10 == 0))
    source = f"99{call % 5:02d}"
    start = {
        "id": 2 * call,
        "type": "start",
        "timestamp": begins.isoformat(),
        "call_id": call,
        "source": source,
        "destination": "9977",
    }
    end = {
        "id": 2 * call + 1,
        "type": "end",
        "timestamp": (begins + timedelta(minutes=call)).isoformat(),
        "call_id": call,
    }
    posted = [start] if call % 7 == 0 else [start, end]
    return [CallEvent.from_document(one) for one in posted]


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(max_workers=len(works)) as pool:
        return [done.result() for done in [pool.submit(work) for work in works]]


def rows(database: Database, *columns: Any) -> list[Any]:
    return database.run_blocking(lambda session: [tuple(row) for row in session.execute(select(*columns))])


async def test_shuffled_and_repeated_events_from_several_sides(billing: Billing) -> None:
    await set_default_plan(billing)
    database, plans, dice = billing.database, CompiledPlans(), random.Random(7)
    events = [event for call in range(CALLS) for event in events_of(call)]

    def side(order: list[CallEvent]) -> Callable[[], None]:
        def post(batch: Sequence[CallEvent], session: Session) -> None:
            take_call_events(
                session,
                batch,
                plans=plans,
                currency=billing.settings.currency,
                zone=UTC,
                received_at=billing.clock(),
            )

        def work() -> None:
            for at in range(0, len(order), 13):
                database.run_blocking(partial(post, order[at : at + 13]))

        return work

    at_once([side(dice.sample(events + events[:20], len(events) + 20)) for _ in range(4)])

    ended = [call for call in range(CALLS) if call % 7]
    assert sorted(int(call_id) for (call_id,) in rows(database, Call.call_id)) == ended
    prices = {int(call_id): price for call_id, price in rows(database, Call.call_id, Call.price)}
    assert prices == {call: Decimal("0.36") + Decimal("0.09") * call for call in ended}
    assert sorted(rows(database, PhoneAccount.number, PhoneAccount.closes_on_request)) == [
        (f"99{number:02d}", True) for number in range(5)
    ]
    # The numbers with calls of January have been open since then.
    opened = dict(rows(database, PhoneAccount.number, PhoneAccount.opened_at))
    assert {at.month for at in opened.values()} == {1, 2}
    assert rows(database, Customer.name) == [("Unassigned",)]
    assert len(rows(database, CallEventPair.call_id)) == CALLS
    assert rows(database, RejectedCallRecord.id) == []


async def test_two_imports_of_the_same_file(billing: Billing) -> None:
    await set_default_plan(billing)
    lines = [
        asterisk_line(f"99{n % 50:02d}", "9977", NOON + timedelta(seconds=n), 60, number=n)
        for n in range(6_000)
    ]

    def load(order: list[str]) -> Callable[[], Any]:
        wish = Import(
            format="asterisk",
            file_zone=UTC,
            plans=CompiledPlans(),
            currency=billing.settings.currency,
            zone=UTC,
            clock=billing.clock,
            reject=lambda line, reason: None,
            pause=lambda seconds: True,
        )
        return lambda: import_calls(billing.database, io.BytesIO("".join(order).encode()), wish)

    # One from the beginning, one from the end: they meet in the middle.
    counts = at_once([load(lines), load(lines[::-1])])

    assert sum(one.stored for one in counts) == 6_000
    assert sum(one.already_had for one in counts) == 6_000
    assert sum(one.rejected for one in counts) == 0
    assert sum(one.total_price for one in counts) == 6_000 * Decimal("0.45")
    assert len(rows(billing.database, Call.record_id)) == 6_000
    assert len(rows(billing.database, PhoneAccount.id)) == 50

"""Lives of accounts lived in a real database: its bills are those that the domain makes of the same life."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from billing_service.domain.bill import BillContents
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.money import Money
from billing_service.storage.tables import SystemSettings
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.edit_account import close_account, reactivate_account, suspend_account
from billing_service.use_cases.manage_plans import create_plan
from tests.scenario.billing_world import ACTOR, BillingWorld
from tests.scenario.calendar_walk import PLANS, USD, ArrivingCall, Walk


def summary_of(bill: BillContents) -> dict[str, Any]:
    """What a document must say."""
    return {
        "start": bill.period.start,
        "end": bill.period.end,
        "lines": [
            (line.kind.value, line.text, line.precise.format_precise(), line.amount.format(USD))
            for line in bill.lines
        ],
        "calls": [
            (call.record_id, call.rounded.format(USD), call.included_s, call.included.format(USD), call.late)
            for call in bill.calls
        ],
        "total": bill.total.format(USD),
    }


def summary_of_document(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "start": datetime.fromisoformat(document["period"]["start"]),
        "end": datetime.fromisoformat(document["period"]["end"]),
        "lines": [
            (line["kind"], line["text"], line["amount_precise"], line["amount"]) for line in document["lines"]
        ],
        "calls": [
            (call["record_id"], call["price"], call["included_s"], call["included"], call["late"])
            for call in document["calls"]
        ],
        "total": document["total"],
    }


def live(world: BillingWorld, walk: Walk) -> None:
    """Let everything of a walk happen in the database, in its order."""
    account = "0001"
    plan_ids = [
        world.database.run_blocking(
            lambda session, terms=terms: create_plan(session, terms, actor=ACTOR, at=walk.opened_at).id
        )
        for terms in PLANS
    ]
    # Nobody pays here, and nobody is to be suspended for it.
    world.database.run_blocking(
        lambda session: session.execute(update(SystemSettings).values(unpaid_bill_limit=10_000))
    )
    first, *changes = walk.plans
    world.account(account, plan_ids[first.plan_version_id], walk.opened_at, billing_day=walk.billing_day)
    events: list[tuple[datetime, Callable[[], object]]] = [
        (plan.start, partial(world.change_plan, account, plan_ids[plan.plan_id], plan.start))
        for plan in changes
    ]
    in_database = world.database.run_blocking
    for gap in walk.suspensions:
        for at, change in ((gap.start, suspend_account), (gap.end, reactivate_account)):
            work = partial(change, number=account, actor=ACTOR, at=at)
            events.append((at, partial(in_database, work)))
    if walk.closed_at is not None:
        work = partial(close_account, number=account, actor=ACTOR, at=walk.closed_at)
        events.append((walk.closed_at, partial(in_database, work)))
    events += [(closed.closed_at, partial(world.close, closed.closed_at)) for closed in walk.closed]
    last_closing = walk.closed[-1].closed_at
    events += [
        (arriving.arrives_at, partial(world.deliver, record_of(arriving)))
        for arriving in walk.calls
        if arriving.arrives_at < last_closing
    ]
    # A call that arrives at the very instant of a closing comes after it, as it does in a walk.
    for _, happen in sorted(events, key=lambda event: event[0]):
        happen()


def record_of(arriving: ArrivingCall) -> Call:
    call = arriving.call
    return Call(
        record_id=call.record_id,
        call_id=f"{call.record_id}@test",
        caller=call.caller,
        callee=call.callee,
        emergency=False,
        invited_at=call.answered_at,
        ringing_at=None,
        answered_at=call.answered_at,
        acknowledged_at=None,
        ended_at=call.ended_at,
        duration_us=call.duration_us,
        outcome=Outcome.ANSWERED,
        status=200,
        reason="OK",
        ended_by=EndedBy.CALLER,
    )


def ended_by_closing(walk: Walk, closed_at: datetime) -> None:
    """Nothing but late records happens to a closed account."""
    walk.closed_at = closed_at
    walk.plans = [plan for plan in walk.plans if plan.start < closed_at]
    walk.suspensions = [gap for gap in walk.suspensions if gap.end < closed_at]
    walk.calls = [arriving for arriving in walk.calls if arriving.call.answered_at < closed_at]


@pytest.mark.parametrize(
    ("zone", "billing_day", "first_year", "closes"),
    [
        ("Australia/Lord_Howe", 31, 2023, False),
        ("Europe/Zurich", 29, 2023, True),
        ("Asia/Almaty", 1, 2023, False),
    ],
)
def test_the_bills_in_the_database_are_those_of_the_walk(
    database: Database, zone: str, billing_day: int, first_year: int, closes: bool
) -> None:
    walk = Walk.drawn(ZoneInfo(zone), billing_day, first_year, seed=1, days=300)
    walk.closed_at = None
    if closes:
        ended_by_closing(walk, walk.opened_at + (walk.until - walk.opened_at) * 2 / 3)
    walk.run()
    assert len(walk.closed) > 5
    world = BillingWorld(database, zone=ZoneInfo(zone))

    live(world, walk)

    documents = [summary_of_document(document) for document in world.documents("0001")]
    assert documents == [
        {**summary_of(closed.bill), "start": closed.bill.period.start.astimezone(UTC)}
        for closed in walk.closed
    ]
    assert any(Money.parse(document["total"]) > Money(0) for document in documents)
    world.check_books()

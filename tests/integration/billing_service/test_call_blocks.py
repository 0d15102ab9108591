"""Blocks of calls are stored as calls one by one are, by COPY and without it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.bulk.call_block import CallBlock
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.storage.patience import wait_for_ever, wait_with_patience
from billing_service.storage.tables import Call as StoredCall
from billing_service.storage.tables import CallRecordReceipt
from billing_service.use_cases.rate_call import CompiledPlans
from billing_service.use_cases.store_call_block import store_call_block
from billing_service.use_cases.store_call_records import Receipt, store_calls
from tests.support.billing import Billing

BEGINS = datetime(2026, 11, 21, 20, 10, tzinfo=UTC)
USUAL = Call(
    record_id="usual",
    call_id="call-1@127.0.0.1",
    caller="0001",
    callee="0002",
    emergency=False,
    invited_at=BEGINS,
    ringing_at=BEGINS + timedelta(microseconds=100_001),
    answered_at=BEGINS + timedelta(seconds=4),
    acknowledged_at=None,
    ended_at=BEGINS + timedelta(seconds=64),
    duration_us=60_000_001,
    outcome=Outcome.ANSWERED,
    status=200,
    reason="OK",
    ended_by=EndedBy.CALLER,
)
SEVENTY_DAYS = replace(USUAL, ended_at=BEGINS + timedelta(days=70), duration_us=70 * 86_400 * 10**6)
ATTEMPT = replace(
    USUAL,
    record_id="attempt",
    answered_at=None,
    duration_us=0,
    outcome=Outcome.BUSY,
    status=486,
    reason='Besetzt: \\ \t "é€😀" \n' + "x" * 2000,
    ended_by=EndedBy.CALLEE,
)


def moved(record_id: str, by: timedelta) -> Call:
    """The usual call at another time."""
    return replace(
        USUAL,
        record_id=record_id,
        invited_at=USUAL.invited_at + by,
        ringing_at=None,
        answered_at=BEGINS + by,
        ended_at=USUAL.ended_at + by,
    )


CALLS = [
    USUAL,
    ATTEMPT,
    replace(USUAL, record_id="long", duration_us=9 * 3600 * 10**6, ended_at=BEGINS + timedelta(hours=9)),
    replace(USUAL, record_id="emergency", callee="112", emergency=True),
    replace(USUAL, record_id="of nobody", caller="9999"),
    replace(ATTEMPT, record_id="attempt of nobody", caller="9999"),
    moved("before its plan", timedelta(days=-300)),
    moved("of the new plan", timedelta(hours=2)),
    replace(USUAL, record_id="of another", caller="0003", callee="0041"),
    replace(SEVENTY_DAYS, record_id="dear", caller="0003", callee="0041"),
    replace(SEVENTY_DAYS, record_id="too dear", caller="0003", callee="0099"),
    replace(USUAL, record_id="ends first", ended_at=BEGINS - timedelta(seconds=9)),
    replace(USUAL, record_id="of next year", ended_at=BEGINS + timedelta(days=365)),
    USUAL,
    replace(USUAL, status=202),
    replace(ATTEMPT, record_id="ends first"),
    replace(USUAL, record_id="had"),
    replace(USUAL, record_id="had otherwise", status=202),
]
HAD = [replace(USUAL, record_id="had"), replace(USUAL, record_id="had otherwise")]

Told = list[tuple[Receipt, str | None]]
Outcomes = tuple[Told, list[Any], list[Any]]


class Undo(Exception):
    """Ends a unit of work that is to leave nothing."""


@contextmanager
def waiting_for_ever() -> Iterator[None]:
    wait_for_ever()
    try:
        yield
    finally:
        wait_with_patience()


def one_by_one(session: Session, calls: list[Call], **terms: Any) -> Told:
    stored = store_calls(session, calls, **terms)
    return [(result.receipt, result.reason) for result in stored]


def as_a_block(session: Session, calls: list[Call], **terms: Any) -> Told:
    stored = store_call_block(session, CallBlock.of(calls), **terms)
    new = [call.record_id for call, is_new in zip(calls, stored.new.tolist(), strict=True) if is_new]
    total = session.scalar(select(func.sum(StoredCall.price)).where(StoredCall.record_id.in_(new)))
    assert (stored.price.to_decimal(), stored.unrated) == (total, 2)
    return [
        (Receipt.STORED, None)
        if stored.new[place]
        else (Receipt.DUPLICATE, None)
        if stored.had[place]
        else (Receipt.REJECTED, stored.rejected[place])
        for place in range(len(calls))
    ]


def outcomes(billing: Billing, store: Callable[..., Told]) -> Outcomes:
    """What becomes of the calls: what is told, and the rows; nothing of it stays."""
    terms = {
        "plans": CompiledPlans(),
        "currency": billing.settings.currency,
        "zone": UTC,
        "received_at": BEGINS + timedelta(days=100),
    }
    found: list[Outcomes] = []

    def work(session: Session) -> None:
        assert {receipt for receipt, _ in one_by_one(session, HAD, **terms)} == {Receipt.STORED}
        told = store(session, CALLS, **terms)
        calls = [column for column in StoredCall.__table__.columns if column.name != "received_at"]
        receipts = [CallRecordReceipt.record_id, CallRecordReceipt.digest, CallRecordReceipt.invited_at]
        found.append(
            (
                told,
                list(session.execute(select(*calls).order_by(StoredCall.record_id))),
                list(session.execute(select(*receipts).order_by(receipts[0]))),
            )
        )
        raise Undo

    with pytest.raises(Undo):
        billing.database.run_blocking(work)
    return found[0]


async def add_accounts(billing: Billing) -> None:
    """0001 changes its plan; 0003 has tariffs by destination, one of them for more than can be stored."""
    await billing.add_account("0001")
    new_plan = await billing.add_plan("New", base_price={"per_minute": "0.333333"})
    later = {"plan_id": new_plan, "from": (BEGINS + timedelta(hours=1)).isoformat()}
    assert (await billing.post("/v1/phone-accounts/0001/plan", later)).status == 200
    tariffs = [
        {"destination_prefix": prefix, "price": {"per_minute": per_minute}}
        for prefix, per_minute in (("0041", "0.02"), ("0099", "9999999.999999"))
    ]
    await billing.add_account("0003", plan_id=await billing.add_plan("Tariffs", tariffs=tariffs))


async def test_a_block_is_stored_as_its_calls_one_by_one(billing: Billing) -> None:
    await add_accounts(billing)

    told, calls, receipts = expected = outcomes(billing, one_by_one)

    assert outcomes(billing, as_a_block) == expected
    with waiting_for_ever():
        assert outcomes(billing, as_a_block) == expected
    # And the calls above were worth comparing.
    assert {receipt for receipt, _ in told} == set(Receipt)
    assert len({reason for _, reason in told}) == 5, {reason for _, reason in told}
    assert len(calls) == len(receipts) == 13
    prices = {call.price for call in calls}
    assert len(prices) >= 5, prices

"""Take in call records: each once, rated on arrival, and kept with the reason when it can't be billed."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any

import structlog
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from billing_service.domain.call import Call, Outcome, contradictions
from billing_service.domain.compiled_plan import RatedCall
from billing_service.domain.money import Currency, InvalidMoney, Money
from billing_service.storage import tables
from billing_service.storage.call_partitions import ensure_partitions
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.storable_text import make_document_storable
from billing_service.storage.tables import (
    AccountPlanHistory,
    CallRecordReceipt,
    PhoneAccount,
    RejectedCallRecord,
)
from billing_service.use_cases.rate_call import CompiledPlans, rate_call

log = structlog.get_logger(__name__)

TOO_EXPENSIVE = "its price is too large to be stored"
ANOTHER_RECORD = "another record with this record_id was stored before"


class Receipt(Enum):
    """What became of a delivered record. All are final."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as it was sent, and the call that it describes; or what is wrong with its form."""

    sent: dict[str, Any]
    call: Call | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one delivery, and why when it was rejected."""

    receipt: Receipt
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Assigned:
    """A call with its account and price, as far as they are known."""

    call: Call
    account_id: int | None
    plan_version_id: int | None
    rated: RatedCall | None


def store_call_records(
    session: Session,
    deliveries: Sequence[Delivery],
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
    received_at: datetime,
) -> list[DeliveryResult]:
    """Store what has not been stored before, and return a result per delivery, in order.

    A unique key makes it exactly once, whoever else stores the same records at the same time. A record that
    contradicts itself, the clock, or an earlier one with its identifier, is kept apart with the reason.
    """
    results: list[DeliveryResult | None] = [_judge(delivery, received_at) for delivery in deliveries]
    sound = {
        index: delivery.call
        for index, delivery in enumerate(deliveries)
        if results[index] is None and delivery.call is not None
    }
    assigned = _assign(session, sound, plans=plans, currency=currency, zone=zone)
    for index in sound:
        if not _fits(assigned[index].rated):
            results[index] = DeliveryResult(Receipt.REJECTED, TOO_EXPENSIVE)
    pending = {index: call for index, call in sound.items() if results[index] is None}
    for index, result in _claim(session, pending).items():
        results[index] = result
    _insert_calls(
        session,
        [assigned[index] for index in pending if results[index] == DeliveryResult(Receipt.STORED)],
    )
    final = [result for result in results if result is not None]
    assert len(final) == len(deliveries), "every delivery has its result"
    _keep_rejected(session, zip(deliveries, final, strict=True))
    return final


def _judge(delivery: Delivery, received_at: datetime) -> DeliveryResult | None:
    if delivery.call is None:
        return DeliveryResult(Receipt.REJECTED, delivery.fault)
    problems = contradictions(delivery.call, received_at=received_at)
    if problems:
        return DeliveryResult(Receipt.REJECTED, "; ".join(problem.message for problem in problems))
    return None


def _fits(rated: RatedCall | None) -> bool:
    if rated is None:
        return True
    try:
        # The check that a stored amount passes when it is read back.
        for amount in (rated.precise, rated.rounded):
            Money.from_decimal(amount.to_decimal())
    except InvalidMoney:
        return False
    return True


def _claim(session: Session, calls: dict[int, Call]) -> dict[int, DeliveryResult]:
    """Leave a receipt for each record and tell which were new; the others have theirs from before."""
    results: dict[int, DeliveryResult] = {}
    first: dict[str, int] = {}
    digests = {index: _digest(_facts(call)) for index, call in calls.items()}
    for index, call in calls.items():
        first.setdefault(call.record_id, index)
    if not first:
        return results
    # In order of their keys, so that two deliveries of the same records at once wait and don't deadlock.
    rows = [
        {"record_id": record_id, "digest": digests[index], "invited_at": calls[index].invited_at}
        for record_id, index in sorted(first.items())
    ]
    new = set(
        session.scalars(
            upsert(CallRecordReceipt)
            .on_conflict_do_nothing(index_elements=["record_id"])
            .returning(CallRecordReceipt.record_id),
            rows,
        )
    )
    known = dict(
        session.execute(
            select(CallRecordReceipt.record_id, CallRecordReceipt.digest).where(
                CallRecordReceipt.record_id.in_(first)
            )
        ).all()
    )
    for index, call in calls.items():
        if call.record_id in new and first[call.record_id] == index:
            results[index] = DeliveryResult(Receipt.STORED)
        elif known[call.record_id] == digests[index]:
            results[index] = DeliveryResult(Receipt.DUPLICATE)
        else:
            results[index] = DeliveryResult(Receipt.REJECTED, ANOTHER_RECORD)
    return results


def _assign(
    session: Session, calls: dict[int, Call], *, plans: CompiledPlans, currency: Currency, zone: tzinfo
) -> dict[int, _Assigned]:
    accounts = dict(
        session.execute(
            select(PhoneAccount.number, PhoneAccount.id).where(
                PhoneAccount.number.in_({call.caller for call in calls.values()})
            )
        ).all()
    )
    histories: defaultdict[int, list[AccountPlanHistory]] = defaultdict(list)
    for row in session.scalars(
        select(AccountPlanHistory).where(AccountPlanHistory.account_id.in_(accounts.values()))
    ):
        histories[row.account_id].append(row)
    assigned = {}
    for index, call in calls.items():
        account_id = accounts.get(call.caller)
        if account_id is None:
            assigned[index] = _Assigned(call, None, None, None)
            continue
        version_id = _in_force(histories[account_id], call.answered_at)
        plan = None
        if version_id is not None and call.is_chargeable:
            plan = plans.get(version_id, lambda wanted: load_terms(session, wanted))
        if call.outcome is not Outcome.ANSWERED:
            # No price at all, so that attempts are not looked through when bills are made.
            assigned[index] = _Assigned(call, account_id, None, None)
            continue
        rated = rate_call(call, plan, currency=currency, zone=zone)
        if rated is None:
            log.warning("call_not_rated", record_id=call.record_id, number=call.caller)
        assigned[index] = _Assigned(call, account_id, version_id, rated)
    return assigned


def _in_force(history: Iterable[AccountPlanHistory], at: datetime | None) -> int | None:
    if at is None:
        return None
    for row in history:
        if row.valid_from <= at and (row.valid_to is None or at < row.valid_to):
            return row.plan_version_id
    return None


def _insert_calls(session: Session, new: Sequence[_Assigned]) -> None:
    if not new:
        return
    ensure_partitions(session, (one.call.invited_at for one in new))
    session.execute(
        insert(tables.Call),
        [
            {
                **_facts(one.call),
                "account_id": one.account_id,
                "plan_version_id": one.plan_version_id,
                "price_precise": None if one.rated is None else one.rated.precise.to_decimal(),
                "price": None if one.rated is None else one.rated.rounded.to_decimal(),
            }
            for one in new
        ],
    )


def _keep_rejected(session: Session, results: Iterable[tuple[Delivery, DeliveryResult]]) -> None:
    rows = {}
    for delivery, result in results:
        if result.receipt is Receipt.REJECTED:
            digest = _digest(delivery.sent)
            rows[digest] = {
                "digest": digest,
                "reason": result.reason,
                "record": make_document_storable(delivery.sent),
            }
            log.warning(
                "call_record_rejected", record_id=delivery.sent.get("record_id"), reason=result.reason
            )
    if rows:
        session.execute(
            upsert(RejectedCallRecord).on_conflict_do_nothing(index_elements=["digest"]),
            [rows[digest] for digest in sorted(rows)],
        )


def _facts(call: Call) -> dict[str, Any]:
    return {
        "record_id": call.record_id,
        "call_id": call.call_id,
        "caller": call.caller,
        "callee": call.callee,
        "emergency": call.emergency,
        "invited_at": call.invited_at,
        "ringing_at": call.ringing_at,
        "answered_at": call.answered_at,
        "acknowledged_at": call.acknowledged_at,
        "ended_at": call.ended_at,
        "duration_us": call.duration_us,
        "outcome": call.outcome.value,
        "status": call.status,
        "reason": call.reason,
        "ended_by": call.ended_by.value,
    }


def _digest(facts: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=datetime.isoformat).encode()).digest()

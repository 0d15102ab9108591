"""Take in call records: each once, rated on arrival, and kept with the reason when it can't be billed."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from billing_service.domain.call import Call, Outcome, contradictions
from billing_service.domain.call_digest import digest_of, facts_of, instant_text
from billing_service.domain.compiled_plan import RatedCall
from billing_service.domain.events import EventKind
from billing_service.domain.money import LARGEST_MICROS, MICROS_PER_UNIT, Currency, Money
from billing_service.storage import tables
from billing_service.storage.call_intake import CallRow, store_new_calls, stored_digests
from billing_service.storage.call_partitions import ensure_partitions
from billing_service.storage.outbox import is_wanted
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.publishing import publish_rated_calls
from billing_service.storage.rejected_records import keep_rejected
from billing_service.storage.storable_text import make_document_storable
from billing_service.use_cases.callers import Caller, callers_of
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


_ANSWERED: Final = Outcome.ANSWERED
_STORED: Final = DeliveryResult(Receipt.STORED)
_DUPLICATE: Final = DeliveryResult(Receipt.DUPLICATE)


@dataclass(frozen=True, slots=True)
class _Assigned:
    """A call with its account (none: the caller is nobody here) and price, as far as they are known."""

    call: Call
    caller: Caller | None
    plan_version_id: int | None
    rated: RatedCall | None

    @property
    def is_unrated(self) -> bool:
        return self.rated is None and self.call.is_chargeable


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

    A record that contradicts itself, the clock, or an earlier one with its identifier, is kept apart with
    the reason. Otherwise as `store_calls`.
    """
    stored = store_calls(
        session,
        [delivery.call for delivery in deliveries if delivery.call is not None],
        plans=plans,
        currency=currency,
        zone=zone,
        received_at=received_at,
    )
    results = iter(stored)
    final = [
        DeliveryResult(Receipt.REJECTED, delivery.fault) if delivery.call is None else next(results)
        for delivery in deliveries
    ]
    _keep_rejected(session, zip(deliveries, final, strict=True))
    return final


def store_calls(
    session: Session,
    calls: Sequence[Call],
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
    received_at: datetime,
) -> list[DeliveryResult]:
    """Rate calls and store those that have not been stored before; returns a result for each, in order.

    A unique key makes it exactly once, whoever else stores the same records at the same time. What is
    rejected is only told, not kept. `store_call_block` does the same for thousands.
    """
    results = [_judge(call, received_at) for call in calls]
    sound = {index: call for index, call in enumerate(calls) if results[index] is None}
    assigned = _assign(session, sound, plans=plans, currency=currency, zone=zone)
    rows: dict[str, tuple[int, CallRow]] = {}
    digests: dict[int, str | None] = {}
    for index, one in assigned.items():
        if not _fits(one.rated):
            results[index] = DeliveryResult(Receipt.REJECTED, TOO_EXPENSIVE)
            continue
        row = _row(one)
        digests[index] = row[1]
        rows.setdefault(one.call.record_id, (index, row))
    new: set[str] = set()
    if rows:
        ensure_partitions(session, (calls[index].invited_at for index, _ in rows.values()))
        new = store_new_calls(session, [row for _, row in rows.values()])
        _publish(session, [assigned[rows[record_id][0]] for record_id in new], currency)
    known = {}
    if len(new) < len(digests):
        known = stored_digests(session, {calls[index].record_id for index in digests})
    for index, digest in digests.items():
        record_id = calls[index].record_id
        if record_id in new and rows[record_id][0] == index:
            results[index] = _STORED
            if assigned[index].is_unrated:
                log.warning("call_not_rated", record_id=record_id, number=calls[index].caller)
        elif known[record_id] == digest:
            results[index] = _DUPLICATE
        else:
            results[index] = DeliveryResult(Receipt.REJECTED, ANOTHER_RECORD)
    final = [result for result in results if result is not None]
    assert len(final) == len(calls), "every call has its result"
    return final


def _judge(call: Call, received_at: datetime) -> DeliveryResult | None:
    problems = contradictions(call, received_at=received_at)
    if problems:
        return DeliveryResult(Receipt.REJECTED, "; ".join(problem.message for problem in problems))
    return None


def _fits(rated: RatedCall | None) -> bool:
    """Whether the amounts pass the check that they will meet when they are read back."""
    return rated is None or max(rated.precise.micros, rated.rounded.micros) <= LARGEST_MICROS


def _assign(
    session: Session, calls: dict[int, Call], *, plans: CompiledPlans, currency: Currency, zone: tzinfo
) -> dict[int, _Assigned]:
    callers = callers_of(session, {call.caller for call in calls.values()})
    assigned: dict[int, _Assigned] = {}
    for index, call in calls.items():
        caller = callers.get(call.caller)
        if caller is None:
            assigned[index] = _Assigned(call, None, None, None)
            continue
        if call.outcome is not _ANSWERED or call.answered_at is None:
            # No price at all, so that attempts are not looked through when bills are made.
            assigned[index] = _Assigned(call, caller, None, None)
            continue
        version_id = caller.plan_version_at(call.answered_at)
        plan = None
        if version_id is not None and not call.emergency:
            plan = plans.get(version_id, lambda wanted: load_terms(session, wanted))
        rated = rate_call(call, plan, currency=currency, zone=zone)
        assigned[index] = _Assigned(call, caller, version_id, rated)
    return assigned


def _publish(session: Session, stored: Sequence[_Assigned], currency: Currency) -> None:
    if not stored or not is_wanted(session, EventKind.CALL_RATED):
        return
    instants = [one.call.invited_at for one in stored]
    publish_rated_calls(
        session,
        tables.Call.invited_at.between(min(instants), max(instants)),
        tables.Call.record_id.in_([one.call.record_id for one in stored]),
        currency=currency,
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
    keep_rejected(session, rows)


def _row(one: _Assigned) -> CallRow:
    facts = facts_of(one.call)
    return (
        one.call.record_id,
        digest_of(facts).hex(),
        *facts,
        None if one.caller is None else str(one.caller.account_id),
        None if one.plan_version_id is None else str(one.plan_version_id),
        None if one.rated is None else _amount(one.rated.precise),
        None if one.rated is None else _amount(one.rated.rounded),
        _billable_at(one),
    )


def _billable_at(one: _Assigned) -> str | None:
    """When the call counts as ended for its bill; None when it goes on none. See `tables.Call`."""
    if one.caller is None or one.rated is None or not one.call.is_chargeable:
        return None
    return instant_text(max(one.call.ended_at, one.caller.period_start))


def _amount(amount: Money) -> str:
    units, micros = divmod(amount.micros, MICROS_PER_UNIT)
    return f"{units}.{micros:06d}"


def _digest(facts: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=datetime.isoformat).encode()).digest()

"""Store blocks of thousands of calls: what `store_call_records` does for one call, on columns.

Both ways come to the same: the same receipts, prices, reasons and rows (a test holds them equal).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import compress
from typing import Final

import numpy as np
import structlog
from sqlalchemy.orm import Session

from billing_service.bulk.call_block import NEVER, Booleans, CallBlock, Integers
from billing_service.domain.call import contradictions
from billing_service.domain.events import EventKind
from billing_service.domain.money import LARGEST_MICROS, Currency, Money
from billing_service.domain.wall_clock import EPOCH, MICROSECOND, SECOND_US, epoch_us
from billing_service.storage import tables
from billing_service.storage.call_blocks import NO_PRICE, NOBODY, AssignedCalls, store_assigned_calls
from billing_service.storage.call_intake import stored_digests
from billing_service.storage.call_partitions import ensure_partitions
from billing_service.storage.outbox import is_wanted
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.publishing import publish_rated_calls
from billing_service.use_cases.callers import Caller, callers_of
from billing_service.use_cases.rate_call import CompiledPlans, price_block
from billing_service.use_cases.store_call_records import ANOTHER_RECORD, TOO_EXPENSIVE

log = structlog.get_logger(__name__)

_BEYOND: Final = (1 << 63) - 1
_DAY_US: Final = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """What became of the calls of a block; those neither new, had nor rejected there are none."""

    new: Booleans
    had: Booleans
    rejected: Mapping[int, str]
    """The reasons, by place."""
    price: Money
    """What the new ones cost together."""
    unrated: int
    """How many of the new ones should have a price and have none."""


def store_call_block(
    session: Session,
    block: CallBlock,
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
    received_at: datetime,
) -> StoredBlock:
    """Rate calls and store those that have not been stored before.

    A unique key makes it exactly once, whoever else stores the same records at the same time. What is
    rejected is only told, not kept.
    """
    count = len(block)
    rejected = contradicting(block, received_at)
    sound = np.ones(count, np.bool_)
    sound[list(rejected)] = False
    assigned = _assign(session, block, sound, plans=plans, currency=currency, zone=zone)
    for place in np.flatnonzero(assigned.rounded > LARGEST_MICROS).tolist():
        rejected[place] = TOO_EXPENSIVE
        sound[place] = False
    first = sound & _are_first(block.record_ids, sound)
    new = np.zeros(count, np.bool_)
    if first.any():
        ensure_partitions(session, _days(block.invited_us[first]))
        new = store_assigned_calls(session, assigned, first)
        _publish(session, block, new, currency)
    had = sound & ~new
    if had.any():
        places = np.flatnonzero(had).tolist()
        known = stored_digests(session, {block.record_ids[place] for place in places})
        for place in places:
            if known[block.record_ids[place]] != block.digests[place].hex():
                rejected[place] = ANOTHER_RECORD
                had[place] = False
    is_unrated = new & (assigned.precise == NO_PRICE) & block.is_answered() & ~block.emergency
    for place in np.flatnonzero(is_unrated).tolist():
        log.warning("call_not_rated", record_id=block.record_ids[place], number=block.callers[place])
    # As Python's integers, which the sum can't leave.
    price = sum(assigned.rounded[new & (assigned.precise != NO_PRICE)].tolist())
    return StoredBlock(new, had, rejected, Money(price), int(is_unrated.sum()))


def contradicting(block: CallBlock, received_at: datetime) -> dict[int, str]:
    """The places of the calls that contradict themselves or the clock, with what is wrong with each."""
    rejected = {}
    for place in np.flatnonzero(~block.is_plain(received_at)).tolist():
        problems = contradictions(block.call(place), received_at=received_at)
        if problems:
            rejected[place] = "; ".join(problem.message for problem in problems)
    return rejected


def _are_first(record_ids: list[str], sound: Booleans) -> Booleans:
    """Which calls are the first sound ones under their identifiers."""
    if len(set(record_ids)) == len(record_ids):
        return sound
    seen: set[str] = set()
    first = np.zeros(len(record_ids), np.bool_)
    for place in np.flatnonzero(sound).tolist():
        if record_ids[place] not in seen:
            seen.add(record_ids[place])
            first[place] = True
    return first


def _days(instants_us: Integers) -> list[datetime]:
    """An instant of each day."""
    return [EPOCH + day * _DAY_US * MICROSECOND for day in np.unique(instants_us // _DAY_US).tolist()]


def _assign(
    session: Session,
    block: CallBlock,
    sound: Booleans,
    *,
    plans: CompiledPlans,
    currency: Currency,
    zone: tzinfo,
) -> AssignedCalls:
    numbers = list(dict.fromkeys(block.callers))
    callers = callers_of(session, set(numbers))
    places = {number: place for place, number in enumerate(numbers)}
    owners = np.array([places[number] for number in block.callers], np.int64)
    found = [callers.get(number) for number in numbers]
    account_ids = np.array([NOBODY if one is None else one.account_id for one in found], np.int64)[owners]
    is_priced = sound & block.is_answered() & (account_ids != NOBODY)
    version_ids = np.where(is_priced, _versions_at(found, owners, block.answered_us), NOBODY)
    precise = np.full(len(block), NO_PRICE, np.int64)
    precise[is_priced & block.emergency] = 0
    rated = np.flatnonzero(is_priced & ~block.emergency & (version_ids != NOBODY))
    for version_id in np.unique(version_ids[rated]).tolist():
        plan = plans.get(version_id, lambda wanted: load_terms(session, wanted))
        chosen = rated[version_ids[rated] == version_id]
        precise[chosen] = price_block(block, chosen, plan, currency=currency, zone=zone)
    unit = currency.minor_unit_micros
    rounded = np.where(precise == NO_PRICE, NO_PRICE, (precise + unit // 2) // unit * unit)
    # What is too much before it is rounded stays so.
    rounded = np.where(precise > LARGEST_MICROS, precise, rounded)
    period_starts = np.array([0 if one is None else epoch_us(one.period_start) for one in found], np.int64)
    goes_on_a_bill = is_priced & ~block.emergency & (precise != NO_PRICE)
    billable_us = np.where(goes_on_a_bill, np.maximum(block.ended_us, period_starts[owners]), NEVER)
    return AssignedCalls(block, account_ids, version_ids, precise, rounded, billable_us)


def _versions_at(found: list[Caller | None], owners: Integers, instants_us: Integers) -> Integers:
    """The plan version in force at each instant for the caller at its place."""
    histories = [() if one is None else one.history for one in found]
    versions = np.full(len(owners), NOBODY, np.int64)
    # Round by round: the first entry of all histories, then the second of those that have one.
    for entry in range(max(map(len, histories), default=0)):
        spans = [
            (version_id, epoch_us(valid_from), _BEYOND if valid_to is None else epoch_us(valid_to))
            for version_id, valid_from, valid_to in (
                history[entry] if entry < len(history) else (NOBODY, EPOCH, EPOCH) for history in histories
            )
        ]
        version, since, until = np.array(spans, np.int64).T
        in_force = (since[owners] <= instants_us) & (instants_us < until[owners]) & (versions == NOBODY)
        versions[in_force] = version[owners[in_force]]
    return versions


def _publish(session: Session, block: CallBlock, new: Booleans, currency: Currency) -> None:
    if not new.any() or not is_wanted(session, EventKind.CALL_RATED):
        return
    invited_us = block.invited_us[new]
    first, last = (EPOCH + int(us) * MICROSECOND for us in (invited_us.min(), invited_us.max()))
    publish_rated_calls(
        session,
        tables.Call.invited_at.between(first, last),
        tables.Call.record_id.in_(list(compress(block.record_ids, new.tolist()))),
        currency=currency,
    )

"""Writing blocks of calls: their receipts are claimed by one statement, and those that are new are copied in.

A program of its own that reads files uses COPY; in the service every wait for the database has an end, which
COPY under psycopg2 can't have, so there the calls go by way of `call_intake`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_service.bulk.call_block import Booleans, CallBlock, Integers, instant_of
from billing_service.domain.call_digest import facts_of, instant_text
from billing_service.domain.money import MICROS_PER_UNIT
from billing_service.storage.call_copy import (
    Fixed,
    amounts,
    copy_rows,
    digests,
    instants,
    integers,
    repeated_texts,
    texts,
)
from billing_service.storage.call_intake import CallRow, store_new_calls
from billing_service.storage.patience import waits_with_patience

NOBODY: Final = 0
"""Stands for no account, and for no plan version: identifiers begin with 1."""
NO_PRICE: Final = -1

_MAKE_STAGE: Final = text(
    "CREATE TEMPORARY TABLE IF NOT EXISTS incoming_receipts"
    " (record_id text, digest bytea, invited_at timestamptz) ON COMMIT DELETE ROWS"
)
# In order of their keys, so that two deliveries of the same records at once wait and don't deadlock.
_CLAIM: Final = text(
    "WITH claimed AS (INSERT INTO call_record_receipts (record_id, digest, invited_at)"
    " SELECT record_id, digest, invited_at FROM incoming_receipts ORDER BY record_id"
    " ON CONFLICT (record_id) DO NOTHING RETURNING record_id)"
    " SELECT record_id FROM incoming_receipts EXCEPT SELECT record_id FROM claimed"
)


@dataclass(frozen=True, slots=True)
class AssignedCalls:
    """Calls with their accounts and prices in micro-units; `NOBODY` and `NO_PRICE` where there is none."""

    calls: CallBlock
    account_ids: Integers
    version_ids: Integers
    precise: Integers
    rounded: Integers
    billable_us: Integers
    """On which bill each is (`tables.Call`), `NEVER` where on none."""

    def __len__(self) -> int:
        return len(self.calls)

    def take(self, places: Integers) -> AssignedCalls:
        """Some of the calls, in the order of their places."""
        return AssignedCalls(
            self.calls.take(places),
            self.account_ids[places],
            self.version_ids[places],
            self.precise[places],
            self.rounded[places],
            self.billable_us[places],
        )


def store_assigned_calls(session: Session, assigned: AssignedCalls, chosen: Booleans) -> Booleans:
    """Store those chosen calls whose record has not been stored before, and tell which these are.

    A unique key makes it exactly once, whoever else stores the same records at the same time. No two of those
    chosen may have the same identifier, and the partitions for them must be there.
    """
    places = np.flatnonzero(chosen)
    if len(places) < len(assigned):
        assigned = assigned.take(places)
    store = _store_texts if waits_with_patience() else _copy
    new = np.zeros(len(chosen), np.bool_)
    new[places] = store(session, assigned)
    return new


def _copy(session: Session, assigned: AssignedCalls) -> Booleans:
    had = _claim_receipts(session, assigned.calls)
    is_new = np.ones(len(assigned), np.bool_)
    if had:
        is_new[:] = [record_id not in had for record_id in assigned.calls.record_ids]
        assigned = assigned.take(np.flatnonzero(is_new))
    if len(assigned):
        _copy_calls(session, assigned)
    return is_new


def _claim_receipts(session: Session, calls: CallBlock) -> set[str]:
    """Claim the receipts of calls; the identifiers of those that were claimed before."""
    session.execute(_MAKE_STAGE)
    session.execute(text("TRUNCATE incoming_receipts"))
    copy_rows(
        session,
        "incoming_receipts",
        [
            ("record_id", texts(calls.record_ids)),
            ("digest", digests(calls.digests)),
            ("invited_at", instants(calls.invited_us)),
        ],
    )
    return set(session.scalars(_CLAIM))


def _copy_calls(session: Session, assigned: AssignedCalls) -> None:
    calls, has_no_price = assigned.calls, assigned.precise == NO_PRICE
    copy_rows(
        session,
        "calls",
        [
            ("record_id", texts(calls.record_ids)),
            ("call_id", texts(calls.call_ids)),
            ("caller", texts(calls.callers)),
            ("callee", texts(calls.callees)),
            ("reason", repeated_texts(calls.reasons)),
            ("outcome", repeated_texts(calls.outcomes)),
            ("ended_by", repeated_texts(calls.ended_by)),
            ("invited_at", instants(calls.invited_us)),
            ("ringing_at", instants(calls.ringing_us)),
            ("answered_at", instants(calls.answered_us)),
            ("acknowledged_at", instants(calls.acknowledged_us)),
            ("ended_at", instants(calls.ended_us)),
            ("duration_us", integers(calls.durations_us)),
            ("status", integers(calls.statuses, ">i2")),
            ("emergency", integers(calls.emergency.astype(np.int64), "i1")),
            ("account_id", _identifiers(assigned.account_ids)),
            ("plan_version_id", _identifiers(assigned.version_ids)),
            ("price_precise", amounts(assigned.precise, has_no_price)),
            ("price", amounts(assigned.rounded, has_no_price)),
            ("billable_at", instants(assigned.billable_us)),
        ],
    )


def _identifiers(values: Integers) -> Fixed:
    return integers(values, missing=values == NOBODY)


def _store_texts(session: Session, assigned: AssignedCalls) -> Booleans:
    new = store_new_calls(session, [_row(assigned, place) for place in range(len(assigned))])
    return np.array([record_id in new for record_id in assigned.calls.record_ids], np.bool_)


def _row(assigned: AssignedCalls, place: int) -> CallRow:
    calls = assigned.calls
    account_id, version_id = int(assigned.account_ids[place]), int(assigned.version_ids[place])
    billable_at = instant_of(int(assigned.billable_us[place]))
    return (
        calls.record_ids[place],
        calls.digests[place].hex(),
        *facts_of(calls.call(place)),
        None if account_id == NOBODY else str(account_id),
        None if version_id == NOBODY else str(version_id),
        _amount(int(assigned.precise[place])),
        _amount(int(assigned.rounded[place])),
        None if billable_at is None else instant_text(billable_at),
    )


def _amount(micros: int) -> str | None:
    if micros == NO_PRICE:
        return None
    units, rest = divmod(micros, MICROS_PER_UNIT)
    return f"{units}.{rest:06d}"

"""Whose calls are taken in: the accounts of callers, and which plan versions were in force for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

# The lock keeps the open period where it is until the calls are stored (see `storage/billed_calls.py`); the
# foreign key would take it for each call anyway. In order, so that nobody waits in a circle.
_CALLERS: Final = text(
    "SELECT a.number, a.id, a.period_start, h.plan_version_id, h.valid_from, h.valid_to FROM phone_accounts a"
    " LEFT JOIN account_plan_history h ON h.account_id = a.id WHERE a.number = ANY(:numbers)"
    " ORDER BY a.id FOR KEY SHARE OF a"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller's account, the start of its open period, and when which plan versions were in force for it."""

    account_id: int
    period_start: datetime
    history: Sequence[tuple[int, datetime, datetime | None]]

    def plan_version_at(self, instant: datetime) -> int | None:
        for version_id, valid_from, valid_to in self.history:
            if valid_from <= instant and (valid_to is None or instant < valid_to):
                return version_id
        return None


def callers_of(session: Session, numbers: set[str]) -> dict[str, Caller]:
    """The callers among these numbers that have accounts."""
    callers: dict[str, Caller] = {}
    histories: dict[str, list[tuple[int, datetime, datetime | None]]] = {}
    if numbers:
        for number, account_id, period_start, version_id, valid_from, valid_to in session.execute(
            _CALLERS, {"numbers": list(numbers)}
        ):
            history = histories.setdefault(number, [])
            callers.setdefault(number, Caller(account_id, period_start, history))
            if version_id is not None:
                history.append((version_id, valid_from, valid_to))
    return callers

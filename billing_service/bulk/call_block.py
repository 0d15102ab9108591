"""Calls as columns: the form in which thousands of them are checked, rated and stored at once.

Instants are microseconds since the epoch, `NEVER` where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from billing_service.domain.call import (
    EARLIEST,
    LARGEST_CLOCK_STEP,
    LATEST,
    Call,
    EndedBy,
    Outcome,
)
from billing_service.domain.call_digest import digest_of, facts_of
from billing_service.domain.wall_clock import EPOCH, MICROSECOND, epoch_us

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

NEVER: Final = -(1 << 63)
_EARLIEST_US: Final = epoch_us(EARLIEST)
_LATEST_US: Final = epoch_us(LATEST)
_LARGEST_CLOCK_STEP_US: Final = LARGEST_CLOCK_STEP // MICROSECOND


@dataclass(frozen=True, slots=True)
class CallBlock:
    """Many calls, a column each of what `Call` has, and the digests of their facts."""

    record_ids: list[str]
    digests: list[bytes]
    call_ids: list[str]
    callers: list[str]
    callees: list[str]
    emergency: Booleans
    invited_us: Integers
    ringing_us: Integers
    answered_us: Integers
    acknowledged_us: Integers
    ended_us: Integers
    durations_us: Integers
    outcomes: list[str]
    statuses: Integers
    reasons: list[str]
    ended_by: list[str]

    def __len__(self) -> int:
        return len(self.record_ids)

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Self:
        """The columns of calls."""
        return cls(
            record_ids=[call.record_id for call in calls],
            digests=[digest_of(facts_of(call)) for call in calls],
            call_ids=[call.call_id for call in calls],
            callers=[call.caller for call in calls],
            callees=[call.callee for call in calls],
            emergency=np.array([call.emergency for call in calls], np.bool_),
            invited_us=_instants([call.invited_at for call in calls]),
            ringing_us=_instants([call.ringing_at for call in calls]),
            answered_us=_instants([call.answered_at for call in calls]),
            acknowledged_us=_instants([call.acknowledged_at for call in calls]),
            ended_us=_instants([call.ended_at for call in calls]),
            durations_us=np.array([call.duration_us for call in calls], np.int64),
            outcomes=[call.outcome.value for call in calls],
            statuses=np.array([call.status for call in calls], np.int64),
            reasons=[call.reason for call in calls],
            ended_by=[call.ended_by.value for call in calls],
        )

    def call(self, index: int) -> Call:
        """One of the calls."""
        invited_at, ended_at = instant_of(int(self.invited_us[index])), instant_of(int(self.ended_us[index]))
        assert invited_at is not None, "every call was invited"
        assert ended_at is not None, "every call has ended"
        return Call(
            record_id=self.record_ids[index],
            call_id=self.call_ids[index],
            caller=self.callers[index],
            callee=self.callees[index],
            emergency=bool(self.emergency[index]),
            invited_at=invited_at,
            ringing_at=instant_of(int(self.ringing_us[index])),
            answered_at=instant_of(int(self.answered_us[index])),
            acknowledged_at=instant_of(int(self.acknowledged_us[index])),
            ended_at=ended_at,
            duration_us=int(self.durations_us[index]),
            outcome=Outcome(self.outcomes[index]),
            status=int(self.statuses[index]),
            reason=self.reasons[index],
            ended_by=EndedBy(self.ended_by[index]),
        )

    def take(self, places: Integers) -> CallBlock:
        """Some of the calls, in the order of their places."""
        chosen = places.tolist()

        def some(column: Any) -> Any:
            return column[places] if isinstance(column, np.ndarray) else [column[place] for place in chosen]

        return CallBlock(**{name: some(getattr(self, name)) for name in _COLUMNS})

    def followed_by(self, other: CallBlock) -> CallBlock:
        """These calls and then the others."""

        def both(mine: Any, theirs: Any) -> Any:
            return np.concatenate((mine, theirs)) if isinstance(mine, np.ndarray) else mine + theirs

        return CallBlock(**{name: both(getattr(self, name), getattr(other, name)) for name in _COLUMNS})

    def is_answered(self) -> Booleans:
        """Which of them were answered, by their outcome."""
        if self.outcomes.count(Outcome.ANSWERED.value) == len(self):
            return np.ones(len(self), np.bool_)
        return np.array([outcome == Outcome.ANSWERED.value for outcome in self.outcomes], np.bool_)

    def is_plain(self, received_at: datetime) -> Booleans:
        """Which of them are as nearly all calls are, so that nothing in them is a contradiction.

        The rules of `domain.call`, on arrays: in order and over, and no longer than a day.
        """
        invited, answered, ended = self.invited_us, self.answered_us, self.ended_us
        is_answered = self.is_answered()
        ringing = np.where(self.ringing_us == NEVER, invited, self.ringing_us)
        began = np.where(answered == NEVER, ringing, answered)
        in_order = (invited >= _EARLIEST_US) & (invited <= ringing) & (ringing <= began) & (began <= ended)
        is_over = (ended < _LATEST_US) & (ended <= epoch_us(received_at))
        acknowledged = (self.acknowledged_us == NEVER) | (
            (self.acknowledged_us >= _EARLIEST_US) & (self.acknowledged_us < _LATEST_US)
        )
        as_answered = (
            (answered != NEVER)
            & (self.durations_us >= 0)
            & (self.durations_us <= _LARGEST_CLOCK_STEP_US)
            & (ended - began <= _LARGEST_CLOCK_STEP_US)
        )
        as_attempt = (answered == NEVER) & (self.durations_us == 0)
        plain: Booleans = in_order & is_over & acknowledged & np.where(is_answered, as_answered, as_attempt)
        return plain


_COLUMNS: Final = tuple(column.name for column in fields(CallBlock))


def _instants(instants: Sequence[datetime | None]) -> Integers:
    return np.array([NEVER if at is None else epoch_us(at) for at in instants], np.int64)


def instant_of(us: int) -> datetime | None:
    """The instant so many microseconds after the epoch; None for `NEVER`."""
    return None if us == NEVER else EPOCH + us * MICROSECOND

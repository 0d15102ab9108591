"""A call as billing sees it: the facts of one call record, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from billing_service.domain.errors import FieldProblem
from billing_service.domain.wall_clock import MICROSECOND

# A clock far off its time is a fault of the exchange; nobody should be billed by it.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
# A clock that is slewed runs back by less than this within a call.
_ORDER_TOLERANCE: Final = timedelta(seconds=1)
# How far the exchange's clock may be ahead of ours. A call of next year would wait for next year's bill.
_FURTHEST_AHEAD: Final = timedelta(hours=24)
# How far the wall clock may have been set during a call before the duration is doubted.
LARGEST_CLOCK_STEP: Final = timedelta(hours=24)
_LARGEST_CLOCK_STEP_US: Final = LARGEST_CLOCK_STEP // MICROSECOND


class Outcome(Enum):
    """How a call attempt came to its end."""

    ANSWERED = "answered"
    CANCELLED = "cancelled"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    FAILED = "failed"


class EndedBy(Enum):
    """Who ended a call attempt. Call events and files of other exchanges don't tell."""

    CALLER = "caller"
    CALLEE = "callee"
    EXCHANGE = "exchange"
    UNKNOWN = "unknown"


# Looking a member up in its class is slow, and this one is asked for with every call.
_ANSWERED: Final = Outcome.ANSWERED


@dataclass(frozen=True, slots=True)
class Call:
    """The immutable facts of one call attempt (`docs/api/internal.md`). All instants are aware."""

    record_id: str
    call_id: str
    caller: str
    callee: str
    emergency: bool
    invited_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    acknowledged_at: datetime | None
    ended_at: datetime
    duration_us: int
    """Real elapsed time from answer to end, in microseconds; 0 unless answered."""
    outcome: Outcome
    status: int
    reason: str
    ended_by: EndedBy

    @property
    def is_chargeable(self) -> bool:
        """Whether the caller pays for it: it was answered and is no emergency call."""
        return self.outcome is _ANSWERED and not self.emergency


def contradictions(call: Call, *, received_at: datetime) -> list[FieldProblem]:
    """What makes a record impossible to bill, in words for the administrator; empty for a sound one."""
    if _is_plain(call, received_at):
        return []
    return [
        *_impossible_instants(call),
        *_impossible_order(call),
        *_impossible_future(call, received_at),
        *_impossible_outcome(call),
    ]


def _is_plain(call: Call, received_at: datetime) -> bool:
    """Whether a call is as nearly all are: in order and over, and no longer than a day. Such are sound."""
    answered_at, acknowledged_at = call.answered_at, call.acknowledged_at
    ringing_at = call.ringing_at or call.invited_at
    began_at = answered_at or ringing_at
    if not EARLIEST <= call.invited_at <= ringing_at <= began_at <= call.ended_at < LATEST:
        return False
    if call.ended_at > received_at:
        return False
    if acknowledged_at is not None and not EARLIEST <= acknowledged_at < LATEST:
        return False
    if call.outcome is not _ANSWERED:
        return answered_at is None and call.duration_us == 0
    return (
        answered_at is not None
        and 0 <= call.duration_us <= _LARGEST_CLOCK_STEP_US
        and call.ended_at - answered_at <= LARGEST_CLOCK_STEP
    )


def _impossible_instants(call: Call) -> Iterator[FieldProblem]:
    for name, instant in (
        ("invited_at", call.invited_at),
        ("ringing_at", call.ringing_at),
        ("answered_at", call.answered_at),
        ("acknowledged_at", call.acknowledged_at),
        ("ended_at", call.ended_at),
    ):
        if instant is not None and not EARLIEST <= instant < LATEST:
            yield FieldProblem(name, f"{name} is not between the years 2000 and 2199")


def _impossible_order(call: Call) -> Iterator[FieldProblem]:
    last_name, last = "invited_at", call.invited_at
    for name, instant in (("ringing_at", call.ringing_at), ("answered_at", call.answered_at)):
        if instant is not None:
            if instant < last - _ORDER_TOLERANCE:
                yield FieldProblem(name, f"{name} is before {last_name}")
            last_name, last = name, instant
    if call.ended_at < last - _ORDER_TOLERANCE:
        yield FieldProblem("ended_at", f"ended_at is before {last_name}")


def _impossible_future(call: Call, received_at: datetime) -> Iterator[FieldProblem]:
    if call.ended_at - received_at > _FURTHEST_AHEAD:
        yield FieldProblem(
            "ended_at",
            "ended_at is more than 24 hours after the record arrived; look at the clock of the exchange",
        )


def _impossible_outcome(call: Call) -> Iterator[FieldProblem]:
    if call.duration_us < 0:
        yield FieldProblem("duration_us", "duration_us is negative")
    if call.outcome is _ANSWERED:
        if call.answered_at is None:
            yield FieldProblem("answered_at", "the call was answered, but answered_at is missing")
        elif abs(call.ended_at - call.answered_at - call.duration_us * MICROSECOND) > LARGEST_CLOCK_STEP:
            yield FieldProblem("duration_us", "duration_us is far from the time between its instants")
    else:
        if call.answered_at is not None:
            yield FieldProblem("answered_at", f"the outcome is {call.outcome.value}, but answered_at is set")
        if call.duration_us > 0:
            yield FieldProblem(
                "duration_us", f"the outcome is {call.outcome.value}, but duration_us is not 0"
            )

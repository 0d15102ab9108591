"""What exchanges that write a line at the end of a call have in common: three times and two durations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from billing_service.call_files.local_time import TOLERANCE, LocalClock, nearest, start_that_fits
from billing_service.call_files.own_csv import status_of
from billing_service.call_files.parsed import UnreadableLine, read_callee, read_caller
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.wall_clock import MICROSECOND

_LONGEST_CALL_ID: Final = 1000


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """The values of a line. `duration` is from the start to the end, `billed` from the answer to the end.

    `answer` is empty when there was none, and None when the file has no such column.
    """

    record_id: str
    call_id: str
    caller: str
    caller_column: str
    callee: str
    callee_column: str
    start: str
    answer: str | None
    end: str
    duration: timedelta
    billed: timedelta
    outcome: Outcome
    reason: str


def to_call(row: ExchangeRow, clock: LocalClock, emergency_numbers: frozenset[str]) -> Call:
    """The call of a line.

    Durations are real time, so the end is found from them: a clock change during the call harms nothing.

    Raises:
        UnreadableLine: its values are none, or contradict each other.
    """
    caller = read_caller(row.caller, row.caller_column)
    callee = read_callee(row.callee, row.callee_column)
    starts = clock.instants(row.start, "start")
    started_at = (
        start_that_fits(starts, clock.instants(row.end, "end"), row.duration, "duration")
        if row.end
        else starts[0]
    )
    ended_at = started_at + row.duration
    answered_at = None
    if row.outcome is Outcome.ANSWERED:
        if row.answer == "":
            raise UnreadableLine("answer: the call was answered, but the time is missing")
        expected = ended_at - row.billed
        answers = (expected,) if row.answer is None else clock.instants(row.answer, "answer")
        answered_at = nearest(answers, expected)
        if abs(answered_at - expected) > TOLERANCE:
            raise UnreadableLine("billsec: it is not the time between answer and end")
    status, _ = status_of(row.outcome)
    return Call(
        record_id=row.record_id,
        call_id=row.call_id[:_LONGEST_CALL_ID],
        caller=caller,
        callee=callee,
        emergency=callee in emergency_numbers,
        invited_at=started_at,
        ringing_at=None,
        answered_at=answered_at,
        acknowledged_at=None,
        ended_at=ended_at,
        duration_us=row.billed // MICROSECOND if answered_at is not None else 0,
        outcome=row.outcome,
        status=status,
        reason=row.reason,
        ended_by=EndedBy.UNKNOWN,
    )

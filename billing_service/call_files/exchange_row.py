"""What exchanges that write a line at the end of a call have in common: three times and two durations."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from billing_service.call_files.local_time import TOLERANCE, LocalClock, nearest, start_that_fits
from billing_service.call_files.own_csv import status_of
from billing_service.call_files.parsed import UnreadableLine, read_callee, read_caller
from billing_service.domain.call import Call, EndedBy, Outcome

_LONGEST_CALL_ID: Final = 1000


def make_call(
    *,
    record_id: str,
    call_id: str,
    caller: tuple[str, str],
    callee: tuple[str, str],
    start: str,
    answer: str | None,
    end: str,
    duration_us: int,
    billed_us: int,
    outcome: Outcome,
    reason: str,
    clock: LocalClock,
    emergency_numbers: frozenset[str],
) -> Call:
    """The call of a line: `caller` and `callee` with their columns' names, the times as they are written.

    `duration_us` is from the start to the end, `billed_us` from the answer to the end. `answer` is empty
    when there was none, and None when the file has no such column. Durations are real time, so the end is
    found from them: a clock change during the call harms nothing.

    Raises:
        UnreadableLine: the values are none, or contradict each other.
    """
    calling, called = read_caller(*caller), read_callee(*callee)
    duration = timedelta(microseconds=duration_us)
    starts = clock.instants(start, "start")
    started_at = (
        start_that_fits(starts, clock.instants(end, "end"), duration, "duration") if end else starts[0]
    )
    ended_at = started_at + duration
    answered_at = None
    if outcome is Outcome.ANSWERED:
        if answer == "":
            raise UnreadableLine("answer: the call was answered, but the time is missing")
        expected = ended_at - timedelta(microseconds=billed_us)
        answers = (expected,) if answer is None else clock.instants(answer, "answer")
        answered_at = nearest(answers, expected)
        if abs(answered_at - expected) > TOLERANCE:
            raise UnreadableLine("billsec: it is not the time between answer and end")
    status, _ = status_of(outcome)
    return Call(
        record_id=record_id,
        call_id=call_id[:_LONGEST_CALL_ID],
        caller=calling,
        callee=called,
        emergency=called in emergency_numbers,
        invited_at=started_at,
        ringing_at=None,
        answered_at=answered_at,
        acknowledged_at=None,
        ended_at=ended_at,
        duration_us=billed_us if answered_at is not None else 0,
        outcome=outcome,
        status=status,
        reason=reason,
        ended_by=EndedBy.UNKNOWN,
    )

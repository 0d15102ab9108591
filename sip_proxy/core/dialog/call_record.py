"""The call record: the immutable facts of one call attempt (`docs/api/internal.md`)."""

from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    """How a call attempt ended."""

    ANSWERED = "answered"
    CANCELLED = "cancelled"  # the caller gave up before an answer
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"  # refused by a rule of the exchange
    FAILED = "failed"


class EndedBy(Enum):
    """Who ended the attempt."""

    CALLER = "caller"
    CALLEE = "callee"
    EXCHANGE = "exchange"


class CallRecord(NamedTuple):
    """One call attempt.

    Instants are wall-clock seconds since the epoch (UTC); `duration_us` is real elapsed time from answer to
    end on the monotonic clock, in microseconds, 0 when the call was not answered. `status` and `reason` are
    those of the final response that the caller got. `record_id` is unique for ever.
    """

    record_id: str
    call_id: str
    caller: str
    callee: str
    emergency: bool
    invited_at: float
    ringing_at: float | None
    answered_at: float | None
    acknowledged_at: float | None
    ended_at: float
    duration_us: int
    outcome: Outcome
    status: int
    reason: str
    ended_by: EndedBy

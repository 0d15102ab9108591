"""A refusal that a person can read."""

from dataclasses import dataclass
from enum import IntEnum


class Cause(IntEnum):
    """Causes of Q.850 as they go into the `Reason` header (RFC 3326)."""

    UNALLOCATED_NUMBER = 1
    USER_BUSY = 17
    NO_ANSWER = 19
    SUBSCRIBER_ABSENT = 20
    CALL_REJECTED = 21
    DESTINATION_OUT_OF_ORDER = 27
    NORMAL = 31
    TEMPORARY_FAILURE = 41
    RESOURCE_UNAVAILABLE = 47
    OUTGOING_CALLS_BARRED = 52
    RECOVERY_ON_TIMER_EXPIRY = 102


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a request is refused. `text` is its reason phrase and is ours, never the peer's."""

    status: int
    text: str
    cause: Cause | None = None
    headers: tuple[str, ...] = ()

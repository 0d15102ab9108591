"""The states of the desk phone, and its timings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class PhoneState(Enum):
    ON_HOOK = "on hook"
    DIAL_TONE = "dial tone"
    DIALLING = "dialling"
    CALLING = "calling"
    RINGING_OUT = "ringing out"
    RINGING_IN = "ringing in"
    ANSWERING = "answering"
    TALKING = "talking"
    BUSY = "busy"
    FAILED = "failed"
    ENDED = "ended"


class Service(Enum):
    """Whether the exchange knows this phone."""

    STARTING = "starting"
    REGISTERED = "registered"
    REFUSED = "refused"
    ENGINE_LOST = "engine lost"


@dataclass(frozen=True, slots=True)
class Timings:
    """In seconds."""

    inter_digit_s: float = 4.0  # a pause this long ends the number
    first_digit_s: float = 20.0  # how long there is dial tone
    release_s: float = 10.0  # after a call came to nothing or its end, the phone hangs up by itself


# The states in which the handset is down.
HANDSET_DOWN: Final = frozenset({PhoneState.ON_HOOK, PhoneState.RINGING_IN})
# The states that leave by themselves when nobody does anything.
RELEASED: Final = frozenset({PhoneState.BUSY, PhoneState.FAILED, PhoneState.ENDED})
WITH_CALL: Final = frozenset(
    {
        PhoneState.CALLING,
        PhoneState.RINGING_OUT,
        PhoneState.RINGING_IN,
        PhoneState.ANSWERING,
        PhoneState.TALKING,
    }
)

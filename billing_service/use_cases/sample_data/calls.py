"""Calls of the sample data: the same ones for the same dates, and of the kind that real phones make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from random import Random
from typing import Final

from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.wall_clock import instant_of

# How likely a call is in each hour of the day, from midnight.
_HOURS: Final = (1, 0, 0, 0, 0, 1, 2, 5, 9, 11, 12, 10, 8, 9, 10, 10, 9, 10, 12, 13, 11, 8, 5, 2)
_LONGEST_CALL: Final = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class _Ending:
    outcome: Outcome
    status: int
    reason: str
    ended_by: EndedBy


_ANSWERED: Final = _Ending(Outcome.ANSWERED, 200, "OK", EndedBy.CALLER)
_UNKNOWN: Final = _Ending(Outcome.REJECTED, 404, "Not Found", EndedBy.EXCHANGE)
_ENDINGS: Final = (
    _ANSWERED,
    _Ending(Outcome.NO_ANSWER, 480, "Temporarily Unavailable", EndedBy.EXCHANGE),
    _Ending(Outcome.BUSY, 486, "Busy Here", EndedBy.CALLEE),
    _Ending(Outcome.CANCELLED, 487, "Request Terminated", EndedBy.CALLER),
    _Ending(Outcome.FAILED, 503, "Service Unavailable", EndedBy.EXCHANGE),
    _UNKNOWN,
)
_WEIGHTS: Final = (74, 10, 7, 6, 1, 2)


@dataclass(frozen=True, slots=True)
class Caller:
    """A phone and the time in which it makes calls, `[start, end)`."""

    number: str
    calls_per_week: int
    start: datetime
    end: datetime


def calls_of(
    caller: Caller, *, callees: Sequence[str], emergency_number: str, zone: tzinfo, random: Random
) -> Iterator[Call]:
    """The calls of one phone in order, all of them over by the end of its time."""
    day = caller.start.astimezone(zone).date()
    last_day = caller.end.astimezone(zone).date()
    others = [number for number in callees if number not in (caller.number, emergency_number)]
    count = 0
    while day <= last_day:
        for second in sorted(_seconds_of_calls(caller, random)):
            # All is drawn before the call is judged, so that the calls of other days don't depend on it.
            invited_at = instant_of(
                datetime(day.year, day.month, day.day) + timedelta(seconds=second),  # noqa: DTZ001
                zone,
            )
            emergency = random.random() < 0.002
            ending = _ANSWERED if emergency else random.choices(_ENDINGS, _WEIGHTS)[0]
            callee = emergency_number if emergency else random.choice(others)
            call = _call(
                f"sample-{caller.number}-{day:%Y%m%d}-{count}",
                caller.number,
                "0099" if ending is _UNKNOWN else callee,
                invited_at,
                ending,
                emergency=emergency,
                random=random,
            )
            count += 1
            if caller.start <= call.invited_at and call.ended_at < caller.end:
                yield call
        day += timedelta(days=1)


def _seconds_of_calls(caller: Caller, random: Random) -> Iterator[int]:
    """The seconds of a day at which a phone calls."""
    for _ in range(random.randint(0, round(2 * caller.calls_per_week / 7))):
        yield random.choices(range(24), _HOURS)[0] * 3600 + random.randrange(3600)


def _call(
    record_id: str,
    caller: str,
    callee: str,
    invited_at: datetime,
    ending: _Ending,
    *,
    emergency: bool,
    random: Random,
) -> Call:
    answered = ending.outcome is Outcome.ANSWERED
    ringing_at = invited_at + timedelta(milliseconds=random.randint(40, 400))
    wait = timedelta(
        milliseconds=60_000 if ending.outcome is Outcome.NO_ANSWER else random.randint(2_000, 25_000)
    )
    talk = timedelta(milliseconds=round(random.expovariate(1 / 200_000))) if answered else timedelta()
    talk = min(talk, _LONGEST_CALL)
    rings = ending.outcome in (Outcome.ANSWERED, Outcome.NO_ANSWER, Outcome.CANCELLED)
    answered_at = ringing_at + wait if answered else None
    return Call(
        record_id=record_id,
        call_id=f"{record_id}@sample.invalid",
        caller=caller,
        callee=callee,
        emergency=emergency,
        invited_at=invited_at,
        ringing_at=ringing_at if rings else None,
        answered_at=answered_at,
        acknowledged_at=None if answered_at is None else answered_at + timedelta(milliseconds=30),
        ended_at=(ringing_at + wait if rings else ringing_at) + talk,
        duration_us=talk // timedelta(microseconds=1),
        outcome=ending.outcome,
        status=ending.status,
        reason=ending.reason,
        ended_by=random.choice((EndedBy.CALLER, EndedBy.CALLEE)) if answered else ending.ended_by,
    )

"""Calls of the sample data: the same ones for the same dates, and of the kind that real phones make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from random import Random
from typing import Final

from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.phone_number import matches_filter_pattern
from billing_service.domain.wall_clock import instant_of
from billing_service.use_cases.open_account import FilterRule

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
# Refusals of the exchange, in its words and its order.
_BARRED: Final = _Ending(Outcome.REJECTED, 403, "Your account may not call this number", EndedBy.EXCHANGE)
_UNKNOWN: Final = _Ending(Outcome.REJECTED, 404, "There is no such number", EndedBy.EXCHANGE)
_OUT_OF_SERVICE: Final = _Ending(Outcome.REJECTED, 480, "This number is out of service", EndedBy.EXCHANGE)
_NOT_WANTED: Final = _Ending(Outcome.REJECTED, 486, "Busy Here", EndedBy.EXCHANGE)
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
class Subscriber:
    """A phone of the sample data as the exchange knows it."""

    number: str
    calls_per_week: int
    start: datetime
    """When its account is opened."""
    end: datetime | None
    """When it is closed or suspended, if it is: from then on it neither calls nor is called."""
    outgoing_filter: Sequence[FilterRule]
    incoming_filter: Sequence[FilterRule]
    block_list: Sequence[str]


def calls_of(
    caller: Subscriber,
    *,
    callees: Sequence[Subscriber],
    emergency_number: str,
    until: datetime,
    zone: tzinfo,
) -> Iterator[Call]:
    """The calls of one phone in order, all of them over by `until` and by the end of its time."""
    random = Random(caller.number)
    end = until if caller.end is None else min(caller.end, until)
    day = caller.start.astimezone(zone).date()
    last_day = end.astimezone(zone).date()
    others = [callee for callee in callees if callee.number not in (caller.number, emergency_number)]
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
            callee, instead = random.choice(others), random.choice(others)
            # Most people know whom they can't call.
            if random.random() < 0.7 and _refusal(caller, callee, invited_at) is not None:
                callee = instead
            if not emergency and ending is not _UNKNOWN:
                ending = _refusal(caller, callee, invited_at) or ending
            number = emergency_number if emergency else callee.number
            call = _call(
                f"sample-{caller.number}-{day:%Y%m%d}-{count}",
                caller.number,
                "0099" if ending is _UNKNOWN and _is_known(callee, invited_at) else number,
                invited_at,
                ending,
                emergency=emergency,
            )
            count += 1
            if caller.start <= call.invited_at and call.ended_at < end:
                yield call
        day += timedelta(days=1)


def _refusal(caller: Subscriber, callee: Subscriber, at: datetime) -> _Ending | None:
    """How the exchange refuses a call at an instant; None when it puts it through."""
    if not _allows(caller.outgoing_filter, callee.number):
        return _BARRED
    if not _is_known(callee, at):
        return _UNKNOWN
    if callee.end is not None and callee.end <= at:
        return _OUT_OF_SERVICE
    if caller.number in callee.block_list or not _allows(callee.incoming_filter, caller.number):
        return _NOT_WANTED
    return None


def _is_known(callee: Subscriber, at: datetime) -> bool:
    return callee.start <= at


def _allows(rules: Sequence[FilterRule], number: str) -> bool:
    """The first rule that matches decides; no match allows."""
    for rule in rules:
        if matches_filter_pattern(rule.pattern, number):
            return rule.action == "allow"
    return True


def _seconds_of_calls(caller: Subscriber, random: Random) -> Iterator[int]:
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
) -> Call:
    # A source of its own, so that how one call ends changes nothing about the others.
    random = Random(record_id)
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

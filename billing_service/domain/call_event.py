"""Call events: that a call started and that it ended, in whichever order they come, and the call they make.

The events of a call share its `call_id`; there is one start and one end. A repeated event changes nothing.
One that contradicts what is known is refused with the reason, and what is known stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Self
from uuid import UUID, uuid5

from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.wall_clock import MICROSECOND, instant_of

_TRANSACTIONS: Final = UUID("2c2f3c5e-6c55-4f0a-9d0e-7b1a3f0f7d61")
_NUMBER: Final = re.compile(r"[0-9]{2,15}", re.ASCII)
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
# As for call records: a clock that is further ahead of ours is wrong.
_FURTHEST_AHEAD: Final = timedelta(hours=24)
_LONGEST_IDENTIFIER: Final = 128
_FIELDS: Final = ("id", "type", "timestamp", "call_id", "source", "destination")


class EventKind(Enum):
    """What happened to the call."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One event of a call. `destination` is given on the start only, `source` may be left out on the end."""

    event_id: str
    kind: EventKind
    at: datetime
    call_id: str
    source: str | None
    destination: str | None

    @property
    def transaction_id(self) -> str:
        """What the sender is told: the same for the same event, however often it is posted."""
        return str(uuid5(_TRANSACTIONS, repr(tuple(self.to_document().items()))))

    def to_document(self) -> dict[str, Any]:
        """The event as it is posted, with its instant in UTC."""
        shown: dict[str, Any] = {
            "id": self.event_id,
            "type": self.kind.value,
            "timestamp": self.at.astimezone(UTC).isoformat(),
            "call_id": self.call_id,
        }
        if self.source is not None:
            shown["source"] = self.source
        if self.destination is not None:
            shown["destination"] = self.destination
        return shown

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, zone: tzinfo = UTC) -> Self:
        """Read an event; `zone` is for a timestamp without offset.

        Raises:
            InvalidFields: it is none; every wrong field is named.
        """
        reader = _Reader(document, zone)
        event_id, call_id = reader.identifier("id"), reader.identifier("call_id")
        kind, at = reader.kind(), reader.timestamp()
        starts = document.get("type") == EventKind.START.value
        source = reader.number("source", required=starts)
        destination = reader.number("destination", required=starts)
        if document.get("type") == EventKind.END.value and destination is not None:
            reader.problems.append(FieldProblem("destination", "the destination is given on the start only"))
        reader.problems += [
            FieldProblem(str(name)[:100], "there is no such field")
            for name in document
            if name not in _FIELDS
        ]
        if reader.problems or kind is None or at is None:
            raise InvalidFields(reader.problems)
        return cls(event_id, kind, at, call_id, source, destination)


@dataclass(slots=True)
class _Reader:
    document: Mapping[str, Any]
    zone: tzinfo
    problems: list[FieldProblem]

    def __init__(self, document: Mapping[str, Any], zone: tzinfo) -> None:
        self.document, self.zone, self.problems = document, zone, []

    def identifier(self, field: str) -> str:
        value = self.document.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return str(value)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_IDENTIFIER and value.isprintable():
            return value
        self._wrong(field, f"a whole number, or 1 to {_LONGEST_IDENTIFIER} printable characters")
        return ""

    def kind(self) -> EventKind | None:
        value = self.document.get("type")
        if value in ("start", "end"):
            return EventKind(value)
        self._wrong("type", "start or end")
        return None

    def timestamp(self) -> datetime | None:
        try:
            return read_timestamp(self.document.get("timestamp"), self.zone)
        except ValueError as error:
            self._wrong("timestamp", str(error))
            return None

    def number(self, field: str, *, required: bool) -> str | None:
        value = self.document.get(field)
        if value is None and not required:
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return value
        self._wrong(field, "a number is 2 to 15 digits, as a text")
        return None

    def _wrong(self, field: str, message: str) -> None:
        missing = self.document.get(field) is None
        self.problems.append(FieldProblem(field, f"it is missing; {message}" if missing else message))


def read_timestamp(text: object, zone: tzinfo) -> datetime:
    """Read an ISO 8601 instant, in UTC; without offset it is what a wall clock in `zone` shows.

    Of a time that the clock shows twice it is the first. Raises ValueError for anything else.
    """
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("an instant is written like 2026-11-21T20:00:00Z or 2026-11-21T20:00:00")
    day, time, fraction, offset = match.groups()
    try:
        shown = datetime.fromisoformat(f"{day}T{time}{(fraction or '')[:7]}")
        if offset is None:
            at = instant_of(shown, zone) if 2000 <= shown.year < 2200 else shown.replace(tzinfo=UTC)
        else:
            at = datetime.fromisoformat(f"{shown.isoformat()}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such instant") from error
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("an instant is between the years 2000 and 2199")
    return at


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why an event can't be true beside what is known already."""

    reason: str


@dataclass(frozen=True, slots=True)
class EventPair:
    """What is known of a call by its events."""

    call_id: str
    start: CallEvent | None = None
    end: CallEvent | None = None

    @property
    def is_complete(self) -> bool:
        return self.start is not None and self.end is not None

    def with_event(self, event: CallEvent, *, received_at: datetime) -> EventPair | Contradiction:
        """The pair after an event, which is the same pair when it knew the event before."""
        assert event.call_id == self.call_id, "an event belongs to its call"
        known = self.start if event.kind is EventKind.START else self.end
        if known is not None:
            return self if _says_the_same(known, event) else Contradiction(_another(known))
        joined = replace(self, start=event) if event.kind is EventKind.START else replace(self, end=event)
        problems = [*_impossible_instant(event, received_at), *_impossible_pair(joined.start, joined.end)]
        return Contradiction("; ".join(problems)) if problems else joined

    def to_call(self, *, emergency: bool) -> Call:
        """The call that a complete pair makes: answered when it started, and nobody knows who hung up."""
        assert self.start is not None, "a call has a start"
        assert self.end is not None, "a call has an end"
        assert self.start.source is not None, "a start has a source"
        assert self.start.destination is not None, "a start has a destination"
        return Call(
            record_id=record_id_of(self.call_id),
            call_id=self.call_id,
            caller=self.start.source,
            callee=self.start.destination,
            emergency=emergency,
            invited_at=self.start.at,
            ringing_at=None,
            answered_at=self.start.at,
            acknowledged_at=None,
            ended_at=self.end.at,
            duration_us=(self.end.at - self.start.at) // MICROSECOND,
            outcome=Outcome.ANSWERED,
            status=200,
            reason="OK",
            ended_by=EndedBy.UNKNOWN,
        )


def record_id_of(call_id: str) -> str:
    """The identifier of the call record of a call that is known by its events."""
    return f"event-{sha256(call_id.encode()).hexdigest()[:40]}"


def _says_the_same(known: CallEvent, event: CallEvent) -> bool:
    same_source = None in (known.source, event.source) or known.source == event.source
    return known.at == event.at and known.destination == event.destination and same_source


def _another(known: CallEvent) -> str:
    shown = known.at.isoformat().replace("+00:00", "Z")
    return f"another {known.kind.value} of this call was posted before: {known.event_id}, at {shown}"


def _impossible_instant(event: CallEvent, received_at: datetime) -> Iterator[str]:
    if event.at - received_at > _FURTHEST_AHEAD:
        yield "its timestamp is more than 24 hours after it arrived; look at the clock of the sender"


def _impossible_pair(start: CallEvent | None, end: CallEvent | None) -> Iterator[str]:
    if start is None or end is None:
        return
    if end.at < start.at:
        yield "the end is before the start"
    if end.source is not None and end.source != start.source:
        yield f"the start has the source {start.source}, the end {end.source}"


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """That the bill of a number for a month is wanted."""

    subscriber: str
    month: int
    year: int

    @property
    def transaction_id(self) -> str:
        """What the sender is told: the same for the same wish."""
        return str(uuid5(_TRANSACTIONS, f"close {self.subscriber} {self.year}-{self.month}"))

    def to_document(self) -> dict[str, Any]:
        """The request as a queue carries it."""
        return {"subscriber": self.subscriber, "month": self.month, "year": self.year}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a request.

        Raises:
            InvalidFields: it is none; every wrong field is named.
        """
        subscriber, month, year = (document.get(field) for field in ("subscriber", "month", "year"))
        problems = []
        if not isinstance(subscriber, str) or not _NUMBER.fullmatch(subscriber):
            problems.append(FieldProblem("subscriber", "a number is 2 to 15 digits"))
        if type(month) is not int or not 1 <= month <= 12:
            problems.append(FieldProblem("month", "a month is a whole number, 1 to 12"))
        if type(year) is not int or not 2000 <= year < 2200:
            problems.append(FieldProblem("year", "a year is a whole number, 2000 to 2199"))
        problems += [
            FieldProblem(str(name)[:100], "there is no such field")
            for name in document
            if name not in ("subscriber", "month", "year")
        ]
        if problems:
            raise InvalidFields(problems)
        return cls(str(subscriber), int(str(month)), int(str(year)))

"""Tollbell's own CSV: a header that names the columns, then a call a line.

What is written here is read back as the same calls. Files made by hand need only few columns: `caller`,
`callee`, an instant at which the call was answered (or invited) and how long it was, or when it ended.
Columns with other names are left alone, so an export of calls can be read too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import compress
from operator import itemgetter
from typing import Final

import numpy as np

from billing_service.bulk.call_block import Booleans, CallBlock
from billing_service.call_files.csv_rows import guess_delimiter, read_rows
from billing_service.call_files.lines import Line
from billing_service.call_files.local_time import LocalClock
from billing_service.call_files.parsed import (
    Parsed,
    UnreadableLine,
    derived_record_id,
    read_callee,
    read_caller,
    read_seconds_us,
    shorten,
)
from billing_service.call_files.plain_rows import read_plain_rows
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.wall_clock import MICROSECOND

NAME: Final = "tollbell"
COLUMNS: Final = (
    "record_id",
    "call_id",
    "caller",
    "callee",
    "emergency",
    "invited_at",
    "ringing_at",
    "answered_at",
    "acknowledged_at",
    "ended_at",
    "duration_us",
    "outcome",
    "status",
    "reason",
    "ended_by",
)
_MORE_COLUMNS: Final = ("duration_s",)
# An instant as `write_calls` writes it, which needs no clock to be read, in the years that the clock takes.
_AS_WRITTEN: Final = re.compile(
    r"(?:199[0-9]|2[01][0-9]{2})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?\+00:00", re.ASCII
)
_RECORD_ID: Final = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_STATUSES: Final = {
    Outcome.ANSWERED: (200, "OK"),
    Outcome.CANCELLED: (487, "Request Terminated"),
    Outcome.BUSY: (486, "Busy Here"),
    Outcome.NO_ANSWER: (480, "Temporarily Unavailable"),
    Outcome.REJECTED: (603, "Decline"),
    Outcome.FAILED: (500, "Server Internal Error"),
}
_ESCAPED: Final = re.compile(r"\\[\\nr]")
_MICROSECONDS: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_STATUS: Final = re.compile(r"[1-6][0-9]{2}", re.ASCII)
# Looking members up in their classes is slow.
_ANSWERED: Final = Outcome.ANSWERED
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_ENDED_BY: Final = {"": EndedBy.UNKNOWN, **{one.value: one for one in EndedBy}}
_BOOLEANS: Final = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
_UNESCAPED: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_LONGEST_TEXT: Final = 1000
_LARGEST_DURATION_US: Final = 2**53


def status_of(outcome: Outcome) -> tuple[int, str]:
    """The status and its text that stand for an outcome where the file tells none."""
    return _STATUSES[outcome]


def recognises(texts: Sequence[str]) -> bool:
    """Whether lines are the beginning of a file in this format: the header names both sides of the call."""
    names = _names(texts[0])
    return {"caller", "callee"} <= names.keys() and bool(
        {"answered_at", "invited_at", "record_id"} & names.keys()
    )


def write_calls(calls: Iterable[Call]) -> Iterator[str]:
    """The lines of a file with these calls, each with its end."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")

    def written(values: Sequence[str | int]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(values)
        return line.getvalue()

    yield written(COLUMNS)
    for call in calls:
        yield written(
            [
                call.record_id,
                _escape(call.call_id),
                call.caller,
                _escape(call.callee),
                "true" if call.emergency else "false",
                _instant(call.invited_at),
                _instant(call.ringing_at),
                _instant(call.answered_at),
                _instant(call.acknowledged_at),
                _instant(call.ended_at),
                call.duration_us,
                call.outcome.value,
                call.status,
                _escape(call.reason),
                call.ended_by.value,
            ]
        )


class OwnCsvReader:
    """Reads files of this format."""

    def __init__(self, zone: tzinfo, emergency_numbers: frozenset[str]) -> None:
        self._clock = LocalClock(zone)
        self._emergency_numbers = emergency_numbers
        self._columns: int | None = None
        self._places: list[int] | None = None
        self._values: Callable[[list[str]], tuple[str, ...]] = tuple
        self._has_reason = False
        self._delimiter = ","

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """See `CallFileReader`."""
        if self._columns is None and lines:
            self._delimiter = guess_delimiter(lines[0].text)
        for row in read_rows(lines, delimiter=self._delimiter):
            if row.fault is not None:
                yield Parsed(row.line, row.fault)
            elif self._columns is None:
                self._read_header(row.values)
            else:
                yield Parsed(row.line, self._read(row.values, row.line.text))

    def read_plain(self, texts: Sequence[str]) -> tuple[CallBlock, Booleans] | None:
        """See `ReadsPlainLines`."""
        if self._columns is None or self._places is None:
            return None
        delimiter, others = self._delimiter, self._columns - 1
        fit = [text.count(delimiter) == others and '"' not in text for text in texts]
        fits = np.array(fit, np.bool_)
        chosen = texts if fits.all() else list(compress(texts, fit))
        # Without quotation marks, a row is what is between the delimiters.
        values = delimiter.join(chosen).split(delimiter) if chosen else []
        calls, plain = read_plain_rows([values[place :: self._columns] for place in self._places])
        fits[fits] = plain
        return calls, fits

    def _read_header(self, names: list[str]) -> None:
        places = {name.strip(): place for place, name in enumerate(names)}
        self._columns = len(names)
        self._places = [places[column] for column in COLUMNS] if places.keys() >= set(COLUMNS) else None
        self._has_reason = "reason" in places
        # A column that is not there is read from the place after the last.
        self._values = itemgetter(*(places.get(column, len(names)) for column in (*COLUMNS, *_MORE_COLUMNS)))

    def _read(self, values: list[str], text: str) -> Call | str:
        if len(values) != self._columns:
            return f"it has {len(values)} columns, the header {self._columns}"
        try:
            return self._call(self._values([*values, ""]), text)
        except UnreadableLine as error:
            return str(error)

    def _call(self, values: tuple[str, ...], text: str) -> Call:
        (
            record_id,
            call_id,
            caller,
            callee,
            emergency,
            invited,
            ringing,
            answered,
            acknowledged,
            ended,
            in_us,
            outcome_name,
            status_text,
            reason,
            ended_by,
            in_s,
        ) = values
        answered_at, invited_at = self._at(answered, "answered_at"), self._at(invited, "invited_at")
        ended_at = self._at(ended, "ended_at")
        outcome = _outcome(outcome_name, answered_at)
        began_at = answered_at or invited_at or ended_at
        if began_at is None:
            raise UnreadableLine("answered_at: the time of the call is missing")
        duration_us = _duration_us(in_us, in_s)
        if ended_at is None:
            if duration_us is None:
                raise UnreadableLine("ended_at: neither the end nor the duration is given")
            ended_at = began_at + timedelta(microseconds=duration_us)
        if duration_us is None:
            talked = outcome is _ANSWERED and answered_at is not None
            duration_us = (ended_at - began_at) // MICROSECOND if talked else 0
        callee = read_callee(_unescape(callee), "callee")
        record_id = record_id or derived_record_id("csv", text)
        if not _RECORD_ID.fullmatch(record_id):
            raise UnreadableLine(f"record_id: {shorten(record_id)} is no identifier")
        return Call(
            record_id=record_id,
            call_id=_text(call_id, "call_id") or record_id,
            caller=read_caller(caller, "caller"),
            callee=callee,
            emergency=_boolean(emergency) if emergency else callee in self._emergency_numbers,
            invited_at=invited_at or began_at,
            ringing_at=self._at(ringing, "ringing_at"),
            answered_at=answered_at,
            acknowledged_at=self._at(acknowledged, "acknowledged_at"),
            ended_at=ended_at,
            duration_us=duration_us,
            outcome=outcome,
            status=_status(status_text) if status_text else status_of(outcome)[0],
            reason=_text(reason, "reason") if self._has_reason else status_of(outcome)[1],
            ended_by=_ended_by(ended_by),
        )

    def _at(self, text: str, column: str) -> datetime | None:
        if not text:
            return None
        if _AS_WRITTEN.fullmatch(text):
            with suppress(ValueError):
                return datetime.fromisoformat(text)
        return self._clock.instants(text, column)[0]


def _names(header: str) -> dict[str, int]:
    values = header.removeprefix("\ufeff").split(guess_delimiter(header))
    return {name.strip().strip('"'): place for place, name in enumerate(values)}


def _instant(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _UNESCAPED[match[0]], text) if "\\" in text else text


def _text(text: str, column: str) -> str:
    text = _unescape(text)
    if len(text) > _LONGEST_TEXT:
        raise UnreadableLine(f"{column}: it is longer than {_LONGEST_TEXT} characters")
    return text


def _duration_us(in_us: str, in_s: str) -> int | None:
    if in_us:
        if not _MICROSECONDS.fullmatch(in_us) or int(in_us) > _LARGEST_DURATION_US:
            raise UnreadableLine(f"duration_us: {shorten(in_us)} is no number of microseconds")
        return int(in_us)
    return read_seconds_us(in_s, "duration_s") if in_s else None


def _outcome(text: str, answered_at: datetime | None) -> Outcome:
    if not text:
        return Outcome.NO_ANSWER if answered_at is None else _ANSWERED
    outcome = _OUTCOMES.get(text)
    if outcome is None:
        raise UnreadableLine(f"outcome: {shorten(text)} is none of {', '.join(_OUTCOMES)}")
    return outcome


def _ended_by(text: str) -> EndedBy:
    ended_by = _ENDED_BY.get(text)
    if ended_by is None:
        known = ", ".join(one.value for one in EndedBy)
        raise UnreadableLine(f"ended_by: {shorten(text)} is none of {known}")
    return ended_by


def _status(text: str) -> int:
    if not _STATUS.fullmatch(text):
        raise UnreadableLine(f"status: {shorten(text)} is no SIP status")
    return int(text)


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise UnreadableLine(f"emergency: {shorten(text)} is neither true nor false")
    return value

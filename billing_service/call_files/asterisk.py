"""Asterisk's `cdr-csv` (`Master.csv`): sixteen columns, and up to five more as `cdr.conf` has it.

In this order, without a header: accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp,
lastdata, start, answer, end, duration, billsec, disposition, amaflags; then uniqueid (`loguniqueid`),
userfield (`loguserfield`), and peeraccount, linkedid and sequence (`newcdrcolumns`). Texts are quoted,
with quotation marks doubled; `answer` is empty, without quotation marks, when there was none. Times are
local unless `usegmtime` is set. A header, as exports from Asterisk's databases have one, gives another
order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from billing_service.call_files.csv_rows import read_rows
from billing_service.call_files.exchange_row import make_call
from billing_service.call_files.lines import Line
from billing_service.call_files.local_time import LocalClock
from billing_service.call_files.parsed import (
    Parsed,
    UnreadableLine,
    derived_record_id,
    read_seconds_us,
    shorten,
)
from billing_service.domain.call import Call, Outcome

NAME: Final = "asterisk"
_ORDER: Final = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
)
_MOST_COLUMNS: Final = len(_ORDER) + 5
_OUTCOMES: Final = {
    "ANSWERED": Outcome.ANSWERED,
    "NO ANSWER": Outcome.NO_ANSWER,
    "BUSY": Outcome.BUSY,
    "FAILED": Outcome.FAILED,
    "CONGESTION": Outcome.FAILED,
}
_LINE: Final = re.compile(
    r'.*"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}",("[0-9 :-]{19}")?,"?[0-9 :-]*"?,[0-9]+,[0-9]+,'
    r'"(ANSWERED|NO ANSWER|BUSY|FAILED|CONGESTION)","[^"]*"',
    re.ASCII,
)
_SAME: Final = {"calldate": "start", "source": "src", "destination": "dst"}
_NEEDED: Final = {"src", "dst", "start", "duration", "billsec", "disposition"}


def recognises(texts: Sequence[str]) -> bool:
    """Whether lines are the beginning of a file in this format."""
    return set(_names(texts[0])) >= _NEEDED or any(_LINE.match(text) for text in texts)


class AsteriskReader:
    """Reads files of this format."""

    def __init__(self, zone: tzinfo, emergency_numbers: frozenset[str]) -> None:
        self._clock = LocalClock(zone)
        self._emergency_numbers = emergency_numbers
        self._places = {name: place for place, name in enumerate(_ORDER)}
        self._columns: int | None = None
        self._begun = False

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """See `CallFileReader`."""
        for row in read_rows(lines):
            first, self._begun = not self._begun, True
            if row.fault is not None:
                yield Parsed(row.line, row.fault)
            elif first and set(_names(row.line.text)) >= _NEEDED:
                names = _names(row.line.text)
                self._places = {name: place for place, name in enumerate(names)}
                self._columns = len(names)
            else:
                yield Parsed(row.line, self._read(row.values))

    def _read(self, values: list[str]) -> Call | str:
        if self._columns is None and not len(_ORDER) <= len(values) <= _MOST_COLUMNS:
            return f"it has {len(values)} columns, not {len(_ORDER)} to {_MOST_COLUMNS}"
        if self._columns is not None and len(values) != self._columns:
            return f"it has {len(values)} columns, the header {self._columns}"
        try:
            return self._call(values)
        except UnreadableLine as error:
            return str(error)

    def _call(self, values: list[str]) -> Call:
        def value(name: str) -> str:
            place = self._places.get(name)
            return "" if place is None else values[place]

        outcome = _OUTCOMES.get(value("disposition"))
        if outcome is None:
            raise UnreadableLine(f"disposition: {shorten(value('disposition'))} is none that Asterisk knows")
        # The whole line: calls of several channels share their uniqueid, and it may not be logged.
        record_id = derived_record_id(NAME, *values)
        return make_call(
            record_id=record_id,
            call_id=(values[16] if self._columns is None and len(values) > 16 else value("uniqueid"))
            or record_id,
            caller=(value("src"), "src"),
            callee=(value("dst"), "dst"),
            start=value("start"),
            answer=value("answer") if "answer" in self._places else None,
            end=value("end"),
            duration_us=read_seconds_us(value("duration"), "duration"),
            billed_us=read_seconds_us(value("billsec"), "billsec"),
            outcome=outcome,
            reason=value("disposition"),
            clock=self._clock,
            emergency_numbers=self._emergency_numbers,
        )


def _names(header: str) -> list[str]:
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    return [_SAME.get(name, name) for name in names]

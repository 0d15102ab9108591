"""Kamailio's table `acc_cdrs`, exported as CSV with a header.

Of its own the table has id, start_time, end_time and duration (seconds with a fraction); the numbers and
the Call-ID are in columns that the parameter `cdr_extra` of the module acc names, for which the usual
names are known. The table has answered calls only, and times are local. With `cdr_start_on_confirmed`
they begin when the call was answered; without it, when it was dialled, and the time of ringing is billed
too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from billing_service.call_files.csv_rows import guess_delimiter, read_rows
from billing_service.call_files.exchange_row import make_call
from billing_service.call_files.lines import Line
from billing_service.call_files.local_time import LocalClock
from billing_service.call_files.parsed import Parsed, UnreadableLine, derived_record_id, read_seconds_us
from billing_service.domain.call import Call, Outcome

NAME: Final = "kamailio"
# The first that a file has is taken.
_CALLER_COLUMNS: Final = ("caller", "src_user", "from_user", "caller_id", "src", "source", "calling_party")
_CALLEE_COLUMNS: Final = (
    "callee",
    "dst_ouser",
    "dst_user",
    "to_user",
    "callee_id",
    "dst",
    "destination",
    "called_party",
)
_CALL_ID_COLUMNS: Final = ("callid", "call_id", "sip_callid", "sip_call_id")
_OWN_COLUMNS: Final = {"start_time", "end_time", "duration"}


def recognises(texts: Sequence[str]) -> bool:
    """Whether lines are the beginning of a file in this format."""
    return set(_names(texts[0])) >= _OWN_COLUMNS


class KamailioReader:
    """Reads files of this format."""

    def __init__(self, zone: tzinfo, emergency_numbers: frozenset[str]) -> None:
        self._clock = LocalClock(zone)
        self._emergency_numbers = emergency_numbers
        self._names: list[str] | None = None
        self._delimiter = ","

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """See `CallFileReader`."""
        if self._names is None and lines:
            self._delimiter = guess_delimiter(lines[0].text)
        for row in read_rows(lines, delimiter=self._delimiter):
            if row.fault is not None:
                yield Parsed(row.line, row.fault)
            elif self._names is None:
                self._names = _names(row.line.text)
            else:
                yield Parsed(row.line, self._read(row.values))

    def _read(self, values: list[str]) -> Call | str:
        assert self._names is not None, "the header is read first"
        if len(values) != len(self._names):
            return f"it has {len(values)} columns, the header {len(self._names)}"
        try:
            return self._call(dict(zip(self._names, values, strict=True)))
        except UnreadableLine as error:
            return str(error)

    def _call(self, row: dict[str, str]) -> Call:
        caller, callee = _first(row, _CALLER_COLUMNS), _first(row, _CALLEE_COLUMNS)
        if caller is None or callee is None:
            raise UnreadableLine(
                "the file has no columns with the numbers; name them caller and callee in cdr_extra"
            )
        call_id = row.get(_first(row, _CALL_ID_COLUMNS) or "", "")
        duration_us = read_seconds_us(row["duration"], "duration")
        # A Call-ID may come again in another dialog, with other tags.
        tags = [row.get(tag, "") for tag in ("from_tag", "to_tag", "fromtag", "totag")]
        known_by = (
            [call_id, *tags] if call_id else [row["start_time"], row["end_time"], row[caller], row[callee]]
        )
        record_id = derived_record_id(NAME, *known_by)
        return make_call(
            record_id=record_id,
            call_id=call_id or record_id,
            caller=(row[caller], caller),
            callee=(row[callee], callee),
            start=row["start_time"],
            answer=row["start_time"],
            end=row["end_time"],
            duration_us=duration_us,
            billed_us=duration_us,
            outcome=Outcome.ANSWERED,
            reason="OK",
            clock=self._clock,
            emergency_numbers=self._emergency_numbers,
        )


def _names(header: str) -> list[str]:
    return [name.strip().strip('"`').lower() for name in header.split(guess_delimiter(header))]


def _first(row: dict[str, str], columns: Sequence[str]) -> str | None:
    return next((column for column in columns if column in row), None)

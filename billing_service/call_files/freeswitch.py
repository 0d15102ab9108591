"""FreeSWITCH's `cdr_csv` with its default template.

In this order, without a header: caller_id_name, caller_id_number, destination_number, context,
start_stamp, answer_stamp, end_stamp, duration, billsec, hangup_cause, uuid, bleg_uuid, accountcode, and,
as the template has it, read_codec, write_codec and more. All are quoted; some versions write a blank
after a comma. `answer_stamp` is empty when the call was not answered. Times are local.
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
from billing_service.call_files.parsed import Parsed, UnreadableLine, read_seconds_us, shorten
from billing_service.domain.call import Call, Outcome

NAME: Final = "freeswitch"
_FEWEST_COLUMNS: Final = 11
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_LINE: Final = re.compile(
    r'("[^"]*", ?){4}"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}", ?"[0-9 :-]*", ?"[0-9 :-]*", ?'
    r'"[0-9]+", ?"[0-9]+", ?"[A-Z0-9_]*", ?"[0-9a-fA-F-]{36}"',
    re.ASCII,
)
# Of the causes with which a call ends that nobody answered (ITU-T Q.850 and FreeSWITCH's own).
_OUTCOMES: Final = {
    "ORIGINATOR_CANCEL": Outcome.CANCELLED,
    "LOSE_RACE": Outcome.CANCELLED,
    "USER_BUSY": Outcome.BUSY,
    "NO_ANSWER": Outcome.NO_ANSWER,
    "NO_USER_RESPONSE": Outcome.NO_ANSWER,
    "ALLOTTED_TIMEOUT": Outcome.NO_ANSWER,
    "USER_NOT_REGISTERED": Outcome.NO_ANSWER,
    "CALL_REJECTED": Outcome.REJECTED,
}


def recognises(texts: Sequence[str]) -> bool:
    """Whether lines are the beginning of a file in this format."""
    return any(_LINE.match(text) for text in texts)


class FreeswitchReader:
    """Reads files of this format."""

    def __init__(self, zone: tzinfo, emergency_numbers: frozenset[str]) -> None:
        self._clock = LocalClock(zone)
        self._emergency_numbers = emergency_numbers

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """See `CallFileReader`."""
        for row in read_rows(lines, padded=True):
            yield Parsed(row.line, row.fault if row.fault is not None else self._read(row.values))

    def _read(self, values: list[str]) -> Call | str:
        if len(values) < _FEWEST_COLUMNS:
            return f"it has {len(values)} columns, not {_FEWEST_COLUMNS} or more"
        try:
            return self._call(values)
        except UnreadableLine as error:
            return str(error)

    def _call(self, values: list[str]) -> Call:
        _, caller, callee, _, start, answer, end, duration, billed, cause, uuid = values[:_FEWEST_COLUMNS]
        if not _UUID.fullmatch(uuid):
            raise UnreadableLine(f"uuid: {shorten(uuid)} is none")
        return make_call(
            record_id=f"{NAME}-{uuid.lower()}",
            call_id=uuid,
            caller=(caller, "caller_id_number"),
            callee=(callee, "destination_number"),
            start=start,
            answer=answer,
            end=end,
            duration_us=read_seconds_us(duration, "duration"),
            billed_us=read_seconds_us(billed, "billsec"),
            outcome=Outcome.ANSWERED if answer else _OUTCOMES.get(cause, Outcome.FAILED),
            reason=cause,
            clock=self._clock,
            emergency_numbers=self._emergency_numbers,
        )

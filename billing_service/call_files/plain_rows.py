"""Rows of Tollbell's own CSV that are as `write_calls` writes them, read by columns.

That is nearly all rows of nearly all files. A row that is written otherwise in any value is left to the
reader of single lines, which knows every form and every fault; what both can read makes the same call.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from hashlib import sha256
from itertools import compress
from typing import Final

import numpy as np

from billing_service.bulk.call_block import NEVER, Booleans, CallBlock, Integers
from billing_service.domain.call import EndedBy, Outcome
from billing_service.domain.wall_clock import SECOND_US

_LONGEST_TEXT: Final = 1000
_LONGEST_DURATION: Final = 15  # digits
_MAY_BE_MISSING: Final = (6, 7, 8)
_DIGITS: Final = b"0123456789"
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Printable ASCII but the quotation mark and the backslash, which are written otherwise in JSON and here.
_PRINTABLE: Final = bytes(character for character in range(0x20, 0x7F) if chr(character) not in '"\\')
_STATUS: Final = re.compile(r"[1-6][0-9]{2}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}
_OUTCOMES: Final = frozenset(outcome.value for outcome in Outcome)
_ENDED_BY: Final = frozenset(one.value for one in EndedBy)

# An instant is `2026-11-21T20:00:00.123456+00:00`, the fraction only where there is one. A whole second is
# looked at as if it had one, after a character that no line has which is read by columns.
_WIDTH: Final = 32
_MARKS: Final = {
    4: "-",
    7: "-",
    10: "T",
    13: ":",
    16: ":",
    26: "+",
    27: "0",
    28: "0",
    29: ":",
    30: "0",
    31: "0",
}
_FRACTION: Final = 19
_NO_FRACTION: Final = "\0" + "000000"
_NO_INSTANT: Final = "?" * _WIDTH
_FIRST_YEAR: Final = 2000
_YEARS: Final = 200
# The day since the epoch on which each month begins, and the one after the last.
_MONTHS: Final = (
    np.arange(f"{_FIRST_YEAR}-01", f"{_FIRST_YEAR + _YEARS}-02", dtype="datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int64)
)


def read_plain_rows(columns: Sequence[Sequence[str]]) -> tuple[CallBlock, Booleans]:
    """The calls of those rows that are plain, and which rows these are.

    The columns are those of `own_csv.COLUMNS`, in their order.
    """
    if not columns[0]:
        return CallBlock.of(()), np.zeros(0, np.bool_)
    instants, are_instants = zip(*map(_instants, columns[5:10]), strict=True)
    plain = _are_plain(columns) & np.logical_and.reduce(are_instants)
    if not plain.all():
        columns = [list(compress(column, plain.tolist())) for column in columns]
        instants = tuple(column[plain] for column in instants)
    return _block(columns, instants), plain


def _are_plain(columns: Sequence[Sequence[str]]) -> Booleans:
    """Which rows are plain, but for their instants."""
    (record_ids, call_ids, callers, callees, emergency) = columns[:5]
    invited, ended = columns[5], columns[9]
    (durations, outcomes, statuses, reasons, ended_by) = columns[10:]
    plain: Booleans = (
        _made_of(record_ids, _DIGITS + _LETTERS + b"._-", 1, 64)
        & _made_of(call_ids, _PRINTABLE, 1, _LONGEST_TEXT)
        & _made_of(callers, _DIGITS, 2, 15)
        & _made_of(callees, _DIGITS + _LETTERS + b"*#._-", 1, 128)
        & _among(emergency, _BOOLEANS)
        & _among(invited, set(invited) - {""})
        & _among(ended, set(ended) - {""})
        & _made_of(durations, _DIGITS, 1, _LONGEST_DURATION)
        & _among(outcomes, _OUTCOMES)
        & _among(statuses, {text for text in set(statuses) if _STATUS.fullmatch(text)})
        & _made_of(reasons, _PRINTABLE, 1, _LONGEST_TEXT)
        & _among(ended_by, _ENDED_BY)
    )
    return plain


def _made_of(texts: Sequence[str], characters: bytes, shortest: int, longest: int) -> Booleans:
    """Which texts consist of these characters and are neither too short nor too long."""

    def is_made_of(text: str) -> bool:
        return text.isascii() and not text.encode().translate(None, characters)

    lengths = list(map(len, texts))
    # All at once: a look at each costs more than the rest.
    if is_made_of("".join(texts)) and shortest <= min(lengths) and max(lengths) <= longest:
        return np.ones(len(texts), np.bool_)
    return np.array([shortest <= len(text) <= longest and is_made_of(text) for text in texts], np.bool_)


def _among(texts: Sequence[str], known: Collection[str]) -> Booleans:
    if set(texts) <= set(known):
        return np.ones(len(texts), np.bool_)
    return np.array([text in known for text in texts], np.bool_)


def _instants(texts: Sequence[str]) -> tuple[Integers, Booleans]:
    """Microseconds since the epoch, or NEVER for an empty text; and which texts are either."""
    wide = [
        text
        if len(text) == _WIDTH
        else f"{text[:_FRACTION]}{_NO_FRACTION}{text[_FRACTION:]}"
        if len(text) == 25
        else _NO_INSTANT
        for text in texts
    ]
    data = np.frombuffer("".join(wide).encode("ascii", "replace"), np.uint8)
    # A row for each place in the texts, so that each step reads memory in order.
    places = data.reshape(len(texts), _WIDTH).T.copy()
    sound = (places[_FRACTION] == ord(".")) | (places[_FRACTION] == ord(_NO_FRACTION[0]))
    for place, mark in _MARKS.items():
        sound &= places[place] == ord(mark)
    digits = places - np.uint8(ord("0"))  # what was below "0" wraps to far above 9

    def number(first: int, beyond: int) -> Integers:
        value = np.zeros(len(texts), np.int64)
        for place in range(first, beyond):
            value = value * 10 + digits[place]
            np.logical_and(sound, digits[place] < 10, out=sound)
        return value

    month = (number(0, 4) - _FIRST_YEAR) * 12 + number(5, 7) - 1
    sound &= (digits[5] * 10 + digits[6] >= 1) & (digits[5] * 10 + digits[6] <= 12)
    day, hour, minute, second = number(8, 10), number(11, 13), number(14, 16), number(17, 19)
    us = number(20, 26)
    sound &= (month >= 0) & (month < _YEARS * 12) & (hour < 24) & (minute < 60) & (second < 60)
    # A fraction of nothing is written otherwise by `write_calls`, and by the digest of a call.
    sound &= (us > 0) == (places[_FRACTION] == ord("."))
    month = np.where(sound, month, 0)
    days = _MONTHS[month] + day - 1
    sound &= (day >= 1) & (days < _MONTHS[month + 1])
    instants = (days * 86_400 + hour * 3600 + minute * 60 + second) * SECOND_US + us
    missing = np.array([not text for text in texts], np.bool_)
    return np.where(missing, NEVER, instants), sound | missing


def _block(columns: Sequence[Sequence[str]], instants: Sequence[Integers]) -> CallBlock:
    (record_ids, call_ids, callers, callees, emergency) = columns[:5]
    (durations, outcomes, statuses, reasons, ended_by) = columns[10:]
    return CallBlock(
        record_ids=list(record_ids),
        digests=_digests(columns),
        call_ids=list(call_ids),
        callers=list(callers),
        callees=list(callees),
        emergency=np.array([_BOOLEANS[text] for text in emergency], np.bool_),
        invited_us=instants[0],
        ringing_us=instants[1],
        answered_us=instants[2],
        acknowledged_us=instants[3],
        ended_us=instants[4],
        durations_us=np.array(list(map(int, durations)), np.int64),
        outcomes=list(outcomes),
        statuses=np.array(list(map(int, statuses)), np.int64),
        reasons=list(reasons),
        ended_by=list(ended_by),
    )


def _digests(columns: Sequence[Sequence[str]]) -> list[bytes]:
    """As `domain.call_digest` makes them: no text of a plain row needs another form in JSON."""
    emergency = ["t" if text == "true" else "f" for text in columns[4]]
    durations = map(str, map(int, columns[10]))
    facts = zip(columns[5], *columns[1:4], emergency, *columns[6:10], durations, *columns[11:], strict=True)
    texts = ['["' + '", "'.join(texts) + '"]' for texts in facts]
    if any("" in columns[place] for place in _MAY_BE_MISSING):
        # None but a missing instant is empty.
        texts = [text.replace('""', "null") for text in texts]
    return [sha256(text.encode()).digest() for text in texts]

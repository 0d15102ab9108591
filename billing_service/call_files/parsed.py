"""What lines of a file become."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, runtime_checkable

from billing_service.bulk.call_block import Booleans, CallBlock
from billing_service.call_files.lines import Line
from billing_service.domain.call import Call
from billing_service.domain.call_event import CallEvent

_NUMBER: Final = re.compile(r"\+?([0-9]{2,15})", re.ASCII)
_LONGEST_CALLEE: Final = 128
_SECONDS: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?", re.ASCII)


class UnreadableLine(ValueError):
    """Why a line is no call; the text names the column."""


class Parsed(NamedTuple):
    """A line and what it says: a call, an event of a call, or, as a text, why it says neither."""

    line: Line
    content: Call | CallEvent | str


class CallFileReader(Protocol):
    """Reads the lines of one file in its format."""

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """Read lines in the order of the file; empty ones and headers say nothing."""
        ...


@runtime_checkable
class ReadsPlainLines(Protocol):
    """A reader that knows a short way for lines as they nearly always are."""

    def read_plain(self, texts: Sequence[str]) -> tuple[CallBlock, Booleans] | None:
        """The calls of the plain ones among these lines, and which these are; None before the header."""
        ...


def read_caller(text: str, column: str) -> str:
    """The number of a caller, without the + of an international one."""
    if text.isdigit() and text.isascii() and 2 <= len(text) <= 15:
        return text
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise UnreadableLine(f"{column}: the caller {shorten(text)} is no number of 2 to 15 digits")
    return match.group(1)


def read_callee(text: str, column: str) -> str:
    """Whom the call went to: a number without its +, or whatever else was dialled."""
    text = text.strip()
    if not text:
        raise UnreadableLine(f"{column}: it is missing")
    if len(text) > _LONGEST_CALLEE:
        raise UnreadableLine(f"{column}: it is longer than {_LONGEST_CALLEE} characters")
    return text[1:] if _NUMBER.fullmatch(text) and text[0] == "+" else text


def read_seconds_us(text: str, column: str) -> int:
    """A number of seconds, perhaps with a fraction, in microseconds."""
    if text.isdigit() and text.isascii() and len(text) <= 9:
        return int(text) * 1_000_000
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        raise UnreadableLine(f"{column}: {shorten(text)} is no number of seconds")
    return int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0")[:6])


def derived_record_id(kind: str, *parts: str) -> str:
    """The identifier of a call record whose file gives it none: the same for the same line, in any file."""
    return f"{kind}-{sha256(chr(31).join(parts).encode()).hexdigest()[:40]}"


def shorten(text: str) -> str:
    """A value as a message can show it."""
    return repr(text if len(text) <= 40 else text[:40] + "…")

"""The lines of a file, plain or gzipped, in blocks: however long the file is, the memory stays the same."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

from billing_service.errors import BillingServiceError

BLOCK_BYTES: Final = 1024 * 1024
LONGEST_LINE_BYTES: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"


class UnableToReadFile(BillingServiceError):
    """The file is none that can be read to its end; what came before was read."""


class Line(NamedTuple):
    """A line without its end, and its number in the file, from 1. `text` is empty when there is a `fault`."""

    number: int
    text: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines that follow each other, and how many bytes of the file are read after them."""

    lines: list[Line]
    read_bytes: int


def read_blocks(file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Read a file that is at its beginning, in blocks of about so many bytes.

    A line that is too long, no text or not whole has a fault. Raises UnableToReadFile when the file is no
    UTF-8 at all or its compression is damaged.
    """
    start = file.read(2)
    file.seek(0)
    if start in _OTHER_ENCODINGS:
        raise UnableToReadFile("the file is UTF-16; save it as UTF-8")
    stream: BinaryIO = gzip.GzipFile(fileobj=file) if start == _GZIP else file  # type: ignore[assignment]
    number, rest, skipping = 1, b"", False
    while True:
        try:
            data = stream.read(block_bytes)
        except (EOFError, OSError, zlib.error) as error:
            raise UnableToReadFile(f"the file can't be read to its end: {error}") from error
        if not data and not rest:
            return
        *whole, rest = (rest + data).split(b"\n")
        if not data:
            whole, rest = [*whole, rest], b""
        if whole:
            lines = _lines(number, whole, first_too_long=skipping)
            skipping = False
            number += len(lines)
            yield Block(lines, file.tell())
        if len(rest) > LONGEST_LINE_BYTES:
            rest, skipping = b"", True
        if not data:
            return


def _lines(number: int, raws: list[bytes], *, first_too_long: bool) -> list[Line]:
    if number > 1 and not first_too_long and max(map(len, raws)) <= LONGEST_LINE_BYTES:
        try:
            text = b"\n".join(raws).decode()
        except UnicodeDecodeError:
            text = "\0"
        # The usual block, all at once.
        if "\0" not in text and "\r" not in text:
            return [Line(at, one) for at, one in enumerate(text.split("\n"), number)]
    return [_line(at, raw, too_long=first_too_long and at == number) for at, raw in enumerate(raws, number)]


def _line(number: int, raw: bytes, *, too_long: bool) -> Line:
    if too_long or len(raw) > LONGEST_LINE_BYTES:
        return Line(number, "", f"the line is longer than {LONGEST_LINE_BYTES} bytes")
    if number == 1:
        raw = raw.removeprefix(_UTF8_MARK)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        # Old exchanges write names in the encoding of their country; numbers and times are the same in all.
        text = raw.decode("latin-1")
    if "\0" in text:
        return Line(number, "", "the line contains NUL characters")
    return Line(number, text.removesuffix("\r"))

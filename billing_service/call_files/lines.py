"""The lines of a file, plain or gzipped, in blocks: however long the file is, the memory stays the same."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
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
    """Some lines that follow each other, as they are in the file, and how much of it is read after them."""

    first_number: int
    data: bytes
    read_bytes: int
    first_too_long: bool = False
    """Whether the first line is the end of one that is too long."""

    @property
    def last_number(self) -> int:
        return self.first_number + self.data.count(b"\n")

    @property
    def lines(self) -> list[Line]:
        """The lines, each as it is or with what is wrong with it."""
        texts = self.plain_texts()
        if texts is not None:
            return [Line(number, text) for number, text in enumerate(texts, self.first_number)]
        raws = self.data.split(b"\n")
        return [
            _line(number, raw, too_long=self.first_too_long and number == self.first_number)
            for number, raw in enumerate(raws, self.first_number)
        ]

    def with_lines(self, said: Iterable[tuple[int, str]]) -> list[tuple[Line, str]]:
        """What is said of some lines by their numbers, with the lines."""
        said = list(said)
        lines = self.lines if said else []
        return [(lines[number - self.first_number], what) for number, what in said]

    def plain_texts(self) -> list[str] | None:
        """The texts of all lines, or None when something may be wrong with one: the usual block, at once."""
        data = self.data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
        if self.first_number == 1 or self.first_too_long or b"\0" in data or b"\r" in data:
            return None
        try:
            texts = data.decode().split("\n")
        except UnicodeDecodeError:
            return None
        # No character has more than four bytes.
        return texts if max(map(len, texts)) * 4 <= LONGEST_LINE_BYTES else None


def read_blocks(file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Read a file that is at its beginning, in blocks of about so many bytes.

    Raises UnableToReadFile when the file is no UTF-8 at all or its compression is damaged.
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
        whole, newline, rest = (rest + data).rpartition(b"\n") if data else (rest, b"\n", b"")
        if newline:
            block = Block(number, whole, file.tell(), first_too_long=skipping)
            skipping = False
            number = block.last_number + 1
            yield block
        if len(rest) > LONGEST_LINE_BYTES:
            rest, skipping = b"", True
        if not data:
            return


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

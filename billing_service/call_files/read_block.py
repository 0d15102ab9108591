"""What the lines of a block say, with its calls as columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from billing_service.bulk.call_block import CallBlock, Integers
from billing_service.call_files.lines import Block, Line
from billing_service.call_files.parsed import CallFileReader, ReadsPlainLines
from billing_service.domain.call import Call
from billing_service.domain.call_event import CallEvent


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """The calls of a block in the order of the file, and its events and the lines that are neither."""

    block: Block
    calls: CallBlock
    numbers: Integers
    """The number of each call's line."""
    events: list[tuple[Line, CallEvent]] = field(default_factory=list)
    rejects: list[tuple[Line, str]] = field(default_factory=list)


def read_block(block: Block, reader: CallFileReader) -> ReadBlock:
    """Read the lines of a block, as many as possible by columns."""
    texts = block.plain_texts() if isinstance(reader, ReadsPlainLines) else None
    plain = reader.read_plain(texts) if texts is not None and isinstance(reader, ReadsPlainLines) else None
    if plain is None:
        return _read_lines(block, reader, block.lines)
    calls, is_plain = plain
    numbers = np.flatnonzero(is_plain) + block.first_number
    if is_plain.all():
        return ReadBlock(block, calls, numbers)
    assert texts is not None, "plain lines have texts"
    left = [Line(block.first_number + place, texts[place]) for place in np.flatnonzero(~is_plain).tolist()]
    others = _read_lines(block, reader, left)
    numbers = np.concatenate((numbers, others.numbers))
    order = np.argsort(numbers)
    return ReadBlock(
        block, calls.followed_by(others.calls).take(order), numbers[order], others.events, others.rejects
    )


def _read_lines(block: Block, reader: CallFileReader, lines: list[Line]) -> ReadBlock:
    calls: list[Call] = []
    numbers: list[int] = []
    events: list[tuple[Line, CallEvent]] = []
    rejects: list[tuple[Line, str]] = []
    for line, content in reader.read(lines):
        if isinstance(content, Call):
            calls.append(content)
            numbers.append(line.number)
        elif isinstance(content, str):
            rejects.append((line, content))
        else:
            events.append((line, content))
    return ReadBlock(block, CallBlock.of(calls), np.array(numbers, np.int64), events, rejects)

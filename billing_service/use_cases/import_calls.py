"""Import a file of calls: block by block, each in a transaction of its own, and safe to repeat.

Every call has an identifier that follows from its line, so a file that is imported again, be it after a
`kill -9` in the middle, stores what is missing and nothing twice. How far a run is (`import_runs.py`) is
written in the transactions that store the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from billing_service.call_files.formats import reader_of, recognise
from billing_service.call_files.lines import Block, UnableToReadFile, read_blocks
from billing_service.call_files.parsed import CallFileReader
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.change_settings import read_settings
from billing_service.use_cases.import_block import BlockOutcome, Import, Stopped, take_block
from billing_service.use_cases.import_runs import Counts, note_format

Taken = Iterator[tuple[Block, BlockOutcome]]
TakeBlocks = Callable[[Iterable[Block], CallFileReader], Taken]
"""Takes in the blocks of a file, and tells in their order what became of each."""


def import_calls(
    database: Database, file: BinaryIO, wish: Import, *, take_blocks: TakeBlocks | None = None
) -> Counts:
    """Import a file that is at its beginning, and return what became of its lines. Blocks.

    `take_blocks` takes in the blocks after the first, by other processes for example.

    Raises:
        UnableToReadFile: the format is not recognised, or the file is damaged; what came before is stored.
        DatabaseUnavailable: the database stayed away until `pause` gave up.
        Stopped: `pause` raised it.
    """
    emergency = database.run_blocking(lambda session: frozenset(read_settings(session).emergency_numbers))
    blocks = _Blocks(read_blocks(file), wish.pause)
    # The header, and by what a format is recognised, is in the first lines that are not empty.
    head = list(blocks.up_to_first_text())
    if blocks.ended_by is not None and not head:
        raise blocks.ended_by
    name = wish.format or recognise(head[-1].lines if head else [])
    if wish.import_id is not None and not wish.dry_run:
        import_id = wish.import_id
        database.run_blocking(lambda session: note_format(session, import_id, name))
    reader = reader_of(name, zone=wish.file_zone, emergency_numbers=emergency)

    def take_here(some: Iterable[Block], reader: CallFileReader) -> Taken:
        return ((block, take_block(database, block, reader, wish)) for block in some)

    total = Counts()
    for block, outcome in chain(take_here(head, reader), (take_blocks or take_here)(blocks, reader)):
        for line, reason in outcome.rejects:
            wish.reject(line, reason)
        total += outcome.counts
        wish.on_progress(total, block.read_bytes)
    if blocks.ended_by is not None:
        raise blocks.ended_by
    return total


class _Blocks:
    """The blocks of a file until it ends, can't be read on, or the import is to stop; all of them count."""

    def __init__(self, blocks: Iterator[Block], pause: Callable[[float], bool]) -> None:
        self.ended_by: UnableToReadFile | Stopped | None = None
        self._blocks = blocks
        self._pause = pause

    def up_to_first_text(self) -> Iterator[Block]:
        """The blocks up to the first one that is not empty."""
        while (block := self._read()) is not None:
            yield block
            if block.data.strip():
                return

    def __iter__(self) -> Iterator[Block]:
        while self.ended_by is None:
            try:
                self._pause(0)
            except Stopped as error:
                self.ended_by = error
                return
            block = self._read()
            if block is None:
                return
            yield block

    def _read(self) -> Block | None:
        try:
            return next(self._blocks, None)
        except UnableToReadFile as error:
            self.ended_by = error
            return None

"""Taking in the blocks of a file by several processes: half of the work is Python's, half PostgreSQL's.

Each process reads, rates and stores whole blocks over a connection of its own. They are made by fork, when
the first block has told how the file is to be read: so only a program may do this that has no other threads.
They end when the program that made them does, whatever ends it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Final

from sqlalchemy import URL

from billing_service.call_files.lines import Block
from billing_service.call_files.parsed import CallFileReader
from billing_service.errors import BillingServiceError
from billing_service.storage.patience import wait_for_ever
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.import_block import BlockOutcome, Import, Stopped, take_block
from billing_service.use_cases.import_calls import TakeBlocks, Taken

_FEWEST_WORKERS: Final = 2
# More would wait for each other in PostgreSQL.
_MOST_WORKERS: Final = 4
_LOOK_S: Final = 0.5
_END_S: Final = 60.0


class WorkerLost(BillingServiceError):
    """A process of the import ended by itself, in the middle of a block."""

    def __init__(self) -> None:
        super().__init__(
            "a process of the import was killed; what it was at is missing until the file is imported again"
        )


def by_workers(url: URL, wish: Import) -> TakeBlocks:
    """A way to take in blocks by several processes, one for each CPU.

    A worker waits for the database as `wish.pause` says, in a copy that is its own; so that it stops waiting
    when the import is to stop, SIGTERM must make `pause` raise Stopped.
    """
    # Two even on one CPU, as one computes while the other waits for PostgreSQL's disk.
    count = max(_FEWEST_WORKERS, min(len(os.sched_getaffinity(0)), _MOST_WORKERS))

    def take(blocks: Iterable[Block], reader: CallFileReader) -> Taken:
        with _workers(count, url, reader, wish) as workers:
            yield from workers.take(blocks)

    return take


class _Workers:
    """The processes and what each is at; a process is made when there is a block for it."""

    def __init__(self, count: int, url: URL, reader: CallFileReader, wish: Import) -> None:
        self.processes: dict[Connection, ForkProcess] = {}
        self._count, self._url, self._reader, self._wish = count, url, reader, wish
        self._idle: list[Connection] = []
        self._at: dict[Connection, int] = {}
        self._failure: BillingServiceError | None = None

    def take(self, blocks: Iterable[Block]) -> Taken:
        """Hand out the blocks. When a worker fails no more are; what the others are at is told first."""
        coming = enumerate(blocks)
        sent: dict[int, Block] = {}
        done: dict[int, BlockOutcome] = {}
        told = 0
        while True:
            while self._failure is None and self._has_room and (following := next(coming, None)) is not None:
                number, sent[number] = following[0], following[1]
                self._hand_out(number, sent[number])
            if not self._at:
                break
            done.update(self._outcomes())
            while told in done:
                yield sent.pop(told), done.pop(told)
                told += 1
            self._stop_if_told()
        for number in sorted(done):
            yield sent[number], done[number]
        if self._failure is not None:
            raise self._failure

    @property
    def _has_room(self) -> bool:
        return bool(self._idle) or len(self.processes) < self._count

    def _hand_out(self, number: int, block: Block) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        self._at[worker] = number
        try:
            worker.send(block)
        except OSError:
            self._lose(worker)

    def _outcomes(self) -> Iterator[tuple[int, BlockOutcome]]:
        """What workers have done, after a while at most."""
        for worker in wait(list(self._at), timeout=_LOOK_S):
            assert isinstance(worker, Connection), "workers are connections"
            try:
                answer = worker.recv()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            number = self._at.pop(worker)
            self._idle.append(worker)
            if isinstance(answer, BlockOutcome):
                yield number, answer
            else:
                self._failure = self._failure or answer

    def _lose(self, worker: Connection) -> None:
        del self._at[worker]
        self._failure = WorkerLost()

    def _stop_if_told(self) -> None:
        try:
            self._wish.pause(0)
        except Stopped:
            # They finish what they are at, unless they wait for the database.
            for worker in self._at:
                self.processes[worker].terminate()

    def _start(self) -> Connection:
        context = get_context("fork")
        ours, theirs = context.Pipe()
        # Or the worker would not see the end of the others' connections, nor of its own.
        not_theirs = [*self.processes, ours]
        process = context.Process(
            target=_serve, args=(theirs, not_theirs, self._url, self._reader, self._wish), daemon=True
        )
        process.start()
        theirs.close()
        self.processes[ours] = process
        return ours


@contextmanager
def _workers(count: int, url: URL, reader: CallFileReader, wish: Import) -> Iterator[_Workers]:
    workers = _Workers(count, url, reader, wish)
    try:
        yield workers
    finally:
        for connection in workers.processes:
            connection.close()
        for process in workers.processes.values():
            process.join(_END_S)


def _serve(
    connection: Connection, not_ours: Iterable[Connection], url: URL, reader: CallFileReader, wish: Import
) -> None:
    """A worker: takes in blocks until nobody sends any more."""
    for other in not_ours:
        other.close()
    database = Database.at(url, threads=1)
    wait_for_ever()
    try:
        while True:
            block: Block = connection.recv()
            try:
                connection.send(take_block(database, block, reader, wish))
            except BillingServiceError as error:
                connection.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        database.close()

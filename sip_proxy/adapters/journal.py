"""The journal at work: a thread of its own writes facts in groups; the event loop hears what is on disk.

When writing fails (a full disk, an I/O error), the facts stay in memory, in order, and are tried again until
they are written. Meanwhile nothing counts as committed, so that no phone is told of a call that could be
lost. A disk that does not answer at all is taken for a failure in the same way, until it does.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeGuard, TypeVar

import structlog

from sip_proxy.adapters.journal_store import Fact, JournalStore, UnableToOpenJournal, UndeliveredRecord
from sip_proxy.core.dialog.call_record import Outcome
from sip_proxy.core.outputs import BindingsChanged, CallRecorded, CallSaved

log = structlog.get_logger()

_RETRY_S = 1.0
# A commit costs about the same for one fact as for a dozen, so under load groups are handed to the thread at
# this distance and take what has come meanwhile; a fact that comes alone is written at once. It is a little
# less than a round (transport/rounds.py), so that the facts of each round are handed over at its end.
_GROUP_INTERVAL_S = 0.015
# Bindings may wait for company, or for more of their kind. Nobody hears a phone wait that registers; one that
# only refreshed its registration does not even wait: the binding on disk is still in force.
_REGISTRATIONS_INTERVAL_S = 0.1
_REFRESHES_INTERVAL_S = 0.25
# A disk that takes longer has stopped answering: an ordinary one needs milliseconds, a busy one some tenths.
_PATIENCE_S = 2.0
# Facts kept in memory while the disk is away. Beyond it, attempts that were never answered, which cost
# nothing and come as fast as a hostile phone can dial, are let go; calls that cost something never are.
_MOST_WAITING = 50_000

# What is no fault of a fact: it can be written later. Nothing of that kind may cost one.
_NOT_NOW = (sqlite3.Error, UnableToOpenJournal, OSError, MemoryError)

Result = TypeVar("Result")


class JournalListener(Protocol):
    """Hears from the journal, on the event loop."""

    def committed(self, position: int) -> None:
        """All facts up to this position are on disk."""

    def journal_failed(self, error: str) -> None:
        """Facts can't be written at present."""

    def journal_recovered(self) -> None:
        """Facts can be written again."""


class _Facts(NamedTuple):
    position: int
    facts: Sequence[Fact]


class _Request(NamedTuple):
    run: Callable[[], None]


class _Stop:
    pass


class Journal:
    """Writes facts to a `JournalStore` from a thread of its own.

    Positions count facts: `append` returns the position of the last fact, and the listener hears which
    position is on disk.
    """

    def __init__(
        self,
        store: JournalStore,
        *,
        listener: JournalListener,
        retry_s: float = _RETRY_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """The store must be open; from `start` to `close` it belongs to the journal.

        `patience_s`: a write that takes longer counts as failed until it is done.
        """
        self._store = store
        self._listener = listener
        self._retry_s = retry_s
        self._patience_s = patience_s
        self._work: queue.SimpleQueue[_Facts | _Request | _Stop] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.position = 0
        self.dropped_attempts = 0
        self._waiting: list[Fact] = []
        self._waiting_position = 0
        self._is_failing = False
        self._retry_at = 0.0
        self._gathered: list[Fact] = []
        self._handed_over_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._handed_over = self._committed = 0
        self._watch: asyncio.TimerHandle | None = None
        self._is_stuck = False

    def start(self) -> None:
        """Start the thread. Call it on the event loop that the listener lives on."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self, *, timeout_s: float = 10.0) -> bool:
        """Write what is waiting, then close the file. Returns False when it could not be written in time."""
        self._hand_over()
        if self._watch is not None:
            self._watch.cancel()
        self._work.put(_Stop())
        await asyncio.to_thread(self._thread.join, timeout_s)
        return not self._thread.is_alive() and not self._waiting

    def append(self, facts: Sequence[Fact], *, is_awaited: bool = True) -> int:
        """Hand over facts to be kept; return the position of the last one.

        `is_awaited`: somebody waits for these, or for those before them. Only bindings are in no hurry.
        """
        self.position += len(facts)
        self._gathered += facts
        if not self._gathered:  # the thread has them all
            return self.position
        if not all(isinstance(fact, BindingsChanged) for fact in facts):
            interval_s = _GROUP_INTERVAL_S
        else:
            interval_s = _REGISTRATIONS_INTERVAL_S if is_awaited else _REFRESHES_INTERVAL_S
        due = self._handed_over_at + interval_s
        if time.monotonic() >= due:
            self._hand_over()
        elif self._timer is None or due < self._timer_due:
            self._set_timer(due)
        return self.position

    async def next_records(self, limit: int) -> list[UndeliveredRecord]:
        """Return the next records to deliver. Raises sqlite3.Error."""
        return await self._ask(lambda: self._store.next_records(limit))

    async def forget_records(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has these records. Raises sqlite3.Error."""
        await self._ask(lambda: self._store.forget_records(records))

    async def put_last(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has no answer for these records: others go first. Raises sqlite3.Error."""
        await self._ask(lambda: self._store.put_last(records))

    async def _ask(self, question: Callable[[], Result]) -> Result:
        assert self._loop is not None
        loop = self._loop
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: Exception | None) -> None:
            if answer.done():  # whoever asked has gone
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            try:
                result = question()
            except Exception as error:  # noqa: BLE001 - the asker hears of it; the thread has facts to write
                self._tell(settle, None, error)
            else:
                self._tell(settle, result, None)

        self._work.put(_Request(run))
        return await answer

    def _hand_over(self) -> None:
        """Give the thread what was gathered: it wakes once for a group, not for every fact."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            self._handed_over_at = time.monotonic()
            self._work.put(_Facts(self.position, self._gathered))
            self._gathered = []
            self._handed_over = self.position
            self._watch_over_disk()

    def _watch_over_disk(self) -> None:
        """See to it that somebody looks, in a while, whether what the thread was given is on disk."""
        if self._watch is None and not self._is_stuck and self._loop is not None:
            self._watch = self._loop.call_later(self._patience_s, self._look_after, self._handed_over)

    def _look_after(self, position: int) -> None:
        self._watch = None
        if self._committed >= position:
            if self._committed < self._handed_over:
                self._watch_over_disk()
        elif not self._is_failing:  # else that was told
            self._is_stuck = True
            self._listener.journal_failed(f"the disk has not answered for {self._patience_s:g} s")

    def _note_committed(self, position: int) -> None:
        self._committed = position
        if self._is_stuck:
            self._is_stuck = False
            self._listener.journal_recovered()
        if position < self._handed_over:
            self._watch_over_disk()
        self._listener.committed(position)

    def _note_failed(self, error: str) -> None:
        self._is_stuck = False
        self._listener.journal_failed(error)

    def _set_timer(self, due: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(due - time.monotonic(), self._hand_over)

    # Everything below runs on the journal's thread.

    def _run(self) -> None:
        is_stopping = False
        while not is_stopping:
            requests = []
            for item in self._next_work():
                if isinstance(item, _Facts):
                    self._waiting += item.facts
                    self._waiting_position = item.position
                elif isinstance(item, _Request):
                    requests.append(item)
                else:
                    is_stopping = True
            if self._waiting and (is_stopping or not self._is_failing or time.monotonic() >= self._retry_at):
                self._write_waiting()
            for request in requests:
                request.run()
        self._store.close()

    def _next_work(self) -> list[_Facts | _Request | _Stop]:
        """Wait for work, then take all there is."""
        try:
            work = [self._work.get(timeout=self._retry_s if self._waiting else None)]
        except queue.Empty:
            return []
        while not self._work.empty():  # nobody else takes from it
            work.append(self._work.get_nowait())
        return work

    def _write_waiting(self) -> None:
        try:
            if self._is_failing:
                self._store.reopen()
            self._write_facts()
        except _NOT_NOW as error:
            self._shorten_waiting()
            self._retry_at = time.monotonic() + self._retry_s
            if not self._is_failing:
                self._is_failing = True
                self._tell(self._note_failed, str(error))
            return
        self._waiting = []
        if self._is_failing:
            self._is_failing = False
            self._tell(self._listener.journal_recovered)
        self._tell(self._note_committed, self._waiting_position)

    def _write_facts(self) -> None:
        try:
            self._store.write(self._waiting)
        except _NOT_NOW:
            raise
        except Exception:
            # Not the disk but something in a fact: it must not keep the others from being written.
            log.exception("facts_refused", count=len(self._waiting))
            self._write_one_by_one()

    def _write_one_by_one(self) -> None:
        while self._waiting:
            fact = self._waiting[0]
            try:
                self._store.write([fact])
            except _NOT_NOW:
                raise
            except Exception:
                log.exception("fact_lost", fact=repr(fact))
            del self._waiting[0]

    def _shorten_waiting(self) -> None:
        """Keep of each number's bindings the last, and no more unanswered attempts than there is room for."""
        last_bindings = {
            fact.number: position
            for position, fact in enumerate(self._waiting)
            if isinstance(fact, BindingsChanged)
        }
        kept = [
            fact
            for position, fact in enumerate(self._waiting)
            if not isinstance(fact, BindingsChanged) or last_bindings[fact.number] == position
        ]
        excess = len(kept) - _MOST_WAITING
        if excess > 0:
            saved = {fact.record_id for fact in kept if isinstance(fact, CallSaved)}
            costless = [
                position
                for position, fact in enumerate(kept)
                if _is_unanswered_attempt(fact)
                # Its answer could not be written down: without this record, it would stand at the next start.
                and not (fact.record.record_id in saved or self._store.has_call(fact.record.record_id))
            ]
            dropped = set(costless[-excess:])
            self.dropped_attempts += len(dropped)
            kept = [fact for position, fact in enumerate(kept) if position not in dropped]
        self._waiting = kept

    def _tell(self, listener: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(listener, *arguments)


def _is_unanswered_attempt(fact: Fact) -> TypeGuard[CallRecorded]:
    return isinstance(fact, CallRecorded) and fact.record.outcome is not Outcome.ANSWERED

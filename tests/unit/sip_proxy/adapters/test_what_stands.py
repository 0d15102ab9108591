"""Which calls a journal restores, whatever happened to it: those that were saved and not recorded."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.adapters.journal_store import JournalStore
from sip_proxy.core.outputs import CallRecorded, CallSaved
from tests.support.examples import examples
from tests.unit.sip_proxy.adapters.test_journal_store import UnsureConnection, recorded

_STEPS = (
    "answer",
    "answer",
    "save again",
    "end",
    "end",
    "deliver",
    "refuse",
    "lose",
    "crash",
    "restart",
    "doubt",
    "fail",
    "fail",
)


class FailingConnection(UnsureConnection):
    """Fails once, at one of the next statements: before it takes effect, or after."""

    statements_left = -1
    fails_after = False

    @classmethod
    @contextmanager
    def failing(cls, which: int | None) -> Iterator[None]:
        """Let a statement fail in this block, if there is one of that number; even numbers fail after."""
        if which is not None:
            cls.statements_left, cls.fails_after = which // 2, which % 2 == 0
        try:
            yield
        finally:
            cls.statements_left = -1

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self._maybe_failing(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        return self._maybe_failing(super().executemany, *arguments)

    def _maybe_failing(self, execute: Callable[..., sqlite3.Cursor], *arguments: Any) -> sqlite3.Cursor:
        FailingConnection.statements_left -= 1
        is_to_fail = FailingConnection.statements_left == -1
        if is_to_fail and not self.fails_after:
            raise sqlite3.OperationalError("disk I/O error")
        cursor = execute(*arguments)
        if is_to_fail:
            raise sqlite3.OperationalError("disk I/O error, told late")
        return cursor


@given(st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 7)), min_size=25, max_size=50))
@settings(max_examples=examples(40))
def test_what_was_saved_and_not_recorded_stands(steps: Sequence[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        history = _History(Path(directory))
        for step, which in steps:
            history.take(step, which)
            history.check()
        history.finish()


class _History:
    """A journal, and beside it what must be in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened = 0
        self._store = self._open(directory / "0")
        self._begun = 0
        self._in_doubt = False
        self._failing: int | None = None
        self._standing: dict[str, str] = {}
        self._ended: set[str] = set()
        self._delivered: set[str] = set()

    def take(self, step: str, which: int) -> None:
        """Let one thing happen, to the call or the number of records that `which` says."""
        standing = sorted(self._standing)
        if step == "answer":
            self._begun += 1
            self._save(f"r{self._begun}", "answered")
        elif step == "save again" and standing:
            self._save(standing[which % len(standing)], f"saved {which}")
        elif step == "end" and standing:
            ended = standing[which % len(standing)]
            last = [CallSaved(ended, "at last")] if which % 2 else []
            self._write([*last, recorded(ended)])
            del self._standing[ended]
            self._ended.add(ended)
        elif step == "deliver":
            records = self._store.next_records(which)
            self._delivered.update(record.record_id for record in records)
            with self._a_failure(), suppress(sqlite3.OperationalError):
                self._store.forget_records(records)
        elif step == "refuse":
            records = self._store.next_records(which)
            with self._a_failure(), suppress(sqlite3.OperationalError):
                self._store.put_last(records)
        elif step == "lose":  # a call that was never written, but for its record
            self._begun += 1
            lost = f"r{self._begun}"
            with suppress(UnicodeEncodeError):
                self._store.write([CallSaved(lost, "answered"), CallSaved("unwritable", "\ud800")])
            self._write([recorded(lost)])
            self._ended.add(lost)
        elif step == "crash":
            self._crash()
        elif step == "restart":
            self._store.reopen()
        elif step == "doubt":
            self._in_doubt = True
        elif step == "fail":
            self._failing = which

    def check(self) -> None:
        """See what a start would find now."""
        assert {call.record_id: call.state for call in self._store.restore().calls} == self._standing

    def finish(self) -> None:
        """Deliver everything: nothing may be missing, and nothing left but the calls that stand."""
        self._crash()
        self._failing = None
        self.take("deliver", 1000)
        self.check()
        assert self._delivered == self._ended
        self._store.close()
        with sqlite3.connect(self._directory / str(self._opened) / "journal.sqlite3") as journal:
            left = {record_id for (record_id,) in journal.execute("SELECT record_id FROM saved_call")}
        journal.close()
        assert left == set(self._standing)

    def _save(self, record_id: str, state: str) -> None:
        self._write([CallSaved(record_id, state)])
        self._standing[record_id] = state

    def _write(self, facts: Sequence[CallSaved | CallRecorded]) -> None:
        if self._in_doubt:  # it is on disk although that failed, and written once more
            self._in_doubt = False
            UnsureConnection.fails = True
            with suppress(sqlite3.OperationalError):
                self._store.write(facts)
            self._store.reopen()
        with suppress(sqlite3.OperationalError), self._a_failure():
            self._store.write(facts)
            return
        self._store.reopen()  # not while the error holds a cursor, which would keep the file locked
        self._store.write(facts)

    def _a_failure(self) -> AbstractContextManager[None]:
        which, self._failing = self._failing, None
        return FailingConnection.failing(which)

    def _crash(self) -> None:
        """Go on with what a killed exchange leaves behind: its files as they are."""
        killed = self._store
        before = self._directory / str(self._opened)
        self._opened += 1
        shutil.copytree(before, self._directory / str(self._opened), ignore=shutil.ignore_patterns("*-shm"))
        killed.close()
        self._store = self._open(self._directory / str(self._opened))

    def _open(self, directory: Path) -> JournalStore:
        store = JournalStore(
            directory / "journal.sqlite3",
            boot_id="this boot",
            connect=partial(sqlite3.connect, factory=FailingConnection),
        )
        store.open()
        return store

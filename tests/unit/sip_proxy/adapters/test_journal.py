"""The journal's thread: groups, positions, and a disk that is away."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sip_proxy.adapters import journal as journal_module
from sip_proxy.adapters.journal import Journal
from sip_proxy.adapters.journal_store import Fact, JournalStore
from sip_proxy.core.dialog.call_record import Outcome
from sip_proxy.core.outputs import BindingsChanged, CallRecorded, CallSaved
from tests.unit.sip_proxy.adapters.test_journal_store import RECORD, REGISTRATION, recorded

DEADLINE_S = 10.0


class Listener:
    """Notes what the journal tells."""

    def __init__(self) -> None:
        self.position = 0
        self.failures: list[str] = []
        self.recoveries = 0

    def committed(self, position: int) -> None:
        assert position > self.position
        self.position = position

    def journal_failed(self, error: str) -> None:
        self.failures.append(error)

    def journal_recovered(self) -> None:
        self.recoveries += 1


class UnreliableStore(JournalStore):
    """A journal on a disk that fills up: writing fails while `is_full`; or hangs, while not `answers`."""

    is_full = False
    writes = 0

    def __init__(self, path: Path, *, boot_id: str) -> None:
        super().__init__(path, boot_id=boot_id)
        self.answers = threading.Event()
        self.answers.set()
        self.files = threading.Lock()
        """Whoever has it may change several files as if at once."""

    def move_to(self, path: Path) -> None:
        self.close()
        self._path = path
        self.open()

    def reopen(self) -> None:
        with self.files:
            super().reopen()

    def write(self, facts: Iterable[Fact]) -> None:
        self.writes += 1
        assert self.answers.wait(DEADLINE_S)
        if self.is_full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(facts)


@pytest.fixture
def store(tmp_path: Path) -> UnreliableStore:
    store = UnreliableStore(tmp_path / "journal.sqlite3", boot_id="boot")
    store.open()
    return store


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def journal(store: UnreliableStore, listener: Listener) -> AsyncIterator[Journal]:
    # Patient enough for any load of the machine: that a disk hangs is the impatient one's subject.
    journal = Journal(store, listener=listener, retry_s=0.01, patience_s=60.0)
    journal.start()
    yield journal
    store.is_full = False
    store.answers.set()
    await journal.close()


@pytest.fixture
async def impatient_journal(store: UnreliableStore, listener: Listener) -> AsyncIterator[Journal]:
    journal = Journal(store, listener=listener, retry_s=0.01, patience_s=0.05)
    journal.start()
    yield journal
    store.is_full = False
    store.answers.set()
    await journal.close()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.002)


def kept(tmp_path: Path) -> JournalStore:
    store = JournalStore(tmp_path / "journal.sqlite3", boot_id="boot")
    store.open()
    return store


async def test_tells_the_position_that_is_on_disk(journal: Journal, listener: Listener) -> None:
    assert journal.append([CallSaved("a", ""), CallSaved("b", "")]) == 2
    assert journal.append([CallSaved("c", "")]) == 3

    await until(lambda: listener.position == 3)


async def test_groups_what_comes_while_it_writes(
    journal: Journal, listener: Listener, store: UnreliableStore
) -> None:
    for number in range(500):
        journal.append([CallSaved(str(number), "")])
    await until(lambda: listener.position == 500)

    assert store.writes < 500


async def test_bindings_that_no_phone_waits_for_wait_for_company(
    journal: Journal, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_REFRESHES_INTERVAL_S", 3600)
    journal.append([CallSaved("a", "")])
    await until(lambda: listener.position == 1)
    journal.append([BindingsChanged("0001", (REGISTRATION,), "[{}]")], is_awaited=False)
    await journal.next_records(1)
    assert listener.position == 1

    journal.append([CallSaved("b", "")], is_awaited=False)
    await until(lambda: listener.position == 3)


async def test_a_phone_that_registers_waits_for_company_but_not_for_long(
    journal: Journal, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_REGISTRATIONS_INTERVAL_S", 3600)
    journal.append([CallSaved("a", "")])
    await until(lambda: listener.position == 1)
    journal.append([BindingsChanged("0001", (REGISTRATION,), "[{}]")], is_awaited=True)
    await journal.next_records(1)
    assert listener.position == 1

    monkeypatch.setattr(journal_module, "_REGISTRATIONS_INTERVAL_S", 0.01)
    journal.append([BindingsChanged("0002", (REGISTRATION,), "[{}]")], is_awaited=True)
    await until(lambda: listener.position == 3)


async def test_bindings_hurry_as_soon_as_a_phone_waits_for_them(
    journal: Journal, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_REFRESHES_INTERVAL_S", 3600)
    journal.append([CallSaved("a", "")])
    journal.append([BindingsChanged("0001", (REGISTRATION,), "[{}]")], is_awaited=False)
    journal.append([], is_awaited=True)

    await until(lambda: listener.position == 2)


async def test_bindings_without_company_are_written_all_the_same(
    journal: Journal, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_REFRESHES_INTERVAL_S", 0.01)
    for number in ("0001", "0002"):
        journal.append([BindingsChanged(number, (REGISTRATION,), "[{}]")], is_awaited=False)

    await until(lambda: listener.position == 2)


async def test_nothing_counts_as_committed_while_the_disk_is_full(
    journal: Journal, listener: Listener, store: UnreliableStore
) -> None:
    store.is_full = True
    journal.append([recorded("a")])
    await until(lambda: store.writes > 3)

    assert listener.position == 0
    assert listener.failures == ["database or disk is full"]


async def test_facts_are_written_in_order_when_the_disk_is_back(
    journal: Journal, listener: Listener, store: UnreliableStore, tmp_path: Path
) -> None:
    store.is_full = True
    journal.append([CallSaved("a", "state")])
    await until(lambda: bool(listener.failures))
    journal.append([recorded("a"), CallSaved("b", "state")])
    store.is_full = False
    await until(lambda: listener.position == 3)
    await journal.close()

    assert listener.recoveries == 1
    after = kept(tmp_path)
    assert [call.record_id for call in after.restore().calls] == ["b"]
    assert [one.record_id for one in after.next_records(10)] == ["a"]
    after.close()


async def test_a_failure_is_told_once_and_again_only_after_a_recovery(
    journal: Journal, listener: Listener, store: UnreliableStore
) -> None:
    for position in (1, 2):
        store.is_full = True
        before = store.writes
        journal.append([CallSaved("a", "")])
        await until(lambda before=before: store.writes > before + 2)  # type: ignore[misc]
        store.is_full = False
        await until(lambda position=position: listener.position == position)  # type: ignore[misc]

    assert (len(listener.failures), listener.recoveries) == (2, 2)


async def test_a_disk_that_does_not_answer_counts_as_failed_until_it_does(
    impatient_journal: Journal, listener: Listener, store: UnreliableStore
) -> None:
    store.answers.clear()
    impatient_journal.append([CallSaved("a", "")])
    await until(lambda: bool(listener.failures))
    assert listener.failures == ["the disk has not answered for 0.05 s"]
    impatient_journal.append([CallSaved("b", "")])
    assert listener.recoveries == listener.position == 0

    store.answers.set()
    await until(lambda: listener.position == 2)
    assert listener.recoveries == 1

    store.answers.clear()
    impatient_journal.append([CallSaved("c", "")])
    await until(lambda: len(listener.failures) == 2)


async def test_a_disk_that_is_busy_all_the_time_has_not_failed(
    store: UnreliableStore, listener: Listener
) -> None:
    journal = Journal(store, listener=listener, patience_s=0.4)
    journal.start()
    ends_at = time.monotonic() + 0.5
    while time.monotonic() < ends_at:
        journal.append([CallSaved("a", "")])
        position = listener.position
        await until(lambda position=position: listener.position > position)  # type: ignore[misc]
        journal.append([CallSaved("b", "")])
    await journal.close()

    assert not listener.failures


async def test_a_disk_that_hangs_and_then_fails_is_back_once(
    impatient_journal: Journal, listener: Listener, store: UnreliableStore
) -> None:
    store.answers.clear()
    impatient_journal.append([CallSaved("a", "")])
    await until(lambda: len(listener.failures) == 1)
    store.is_full = True
    store.answers.set()
    await until(lambda: len(listener.failures) == 2)
    assert listener.failures[1] == "database or disk is full"

    store.is_full = False
    await until(lambda: listener.position == 1)
    assert (len(listener.failures), listener.recoveries) == (2, 1)


async def test_a_full_disk_keeps_only_the_last_bindings_of_a_number_in_memory(
    journal: Journal, listener: Listener, store: UnreliableStore, tmp_path: Path
) -> None:
    store.is_full = True
    for number in range(100):
        journal.append([BindingsChanged("0001", (REGISTRATION,), str(number))])
    last = BindingsChanged("0001", (REGISTRATION,), "99")
    await until(lambda: journal._waiting == [last])

    store.is_full = False
    await until(lambda: listener.position == 100)
    await journal.close()
    after = kept(tmp_path)
    assert after.restore().bindings == (("0001", "99"),)
    after.close()


async def test_unanswered_attempts_are_let_go_when_memory_is_short_but_never_a_call(
    journal: Journal,
    listener: Listener,
    store: UnreliableStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_MOST_WAITING", 3)
    store.is_full = True
    attempts = [
        CallRecorded(RECORD._replace(record_id=f"attempt {number}", outcome=Outcome.REJECTED))
        for number in range(4)
    ]
    calls = [recorded(f"call {number}") for number in range(2)]
    journal.append([calls[0], *attempts, calls[1]])
    await until(lambda: journal.dropped_attempts == 3)
    store.is_full = False
    await until(lambda: listener.position == 6)
    await journal.close()

    after = kept(tmp_path)
    assert [one.record_id for one in after.next_records(10)] == ["call 0", "attempt 0", "call 1"]
    after.close()


async def test_the_end_of_a_saved_call_is_never_let_go_though_it_costs_nothing(
    journal: Journal,
    listener: Listener,
    store: UnreliableStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call whose answer could not be written down would stand at the next start, and cost something."""
    monkeypatch.setattr(journal_module, "_MOST_WAITING", 1)
    journal.append([CallSaved("kept", "state")])
    await until(lambda: listener.position == 1)
    store.is_full = True
    ends = [
        CallRecorded(RECORD._replace(record_id=name, outcome=Outcome.FAILED))
        for name in ("attempt", "kept", "held back")
    ]
    journal.append([CallSaved("held back", "state"), *ends])
    await until(lambda: journal.dropped_attempts == 1)
    store.is_full = False
    await until(lambda: listener.position == 5)
    await journal.close()

    after = kept(tmp_path)
    assert after.restore().calls == ()
    assert [one.record_id for one in after.next_records(10)] == ["kept", "held back"]
    after.close()


async def test_one_unwritable_fact_does_not_keep_the_others_from_the_disk(
    journal: Journal, listener: Listener, tmp_path: Path
) -> None:
    journal.append([CallSaved("a", "state"), CallSaved("b", "\ud800"), CallSaved("c", "state")])
    await until(lambda: listener.position == 3)
    await journal.close()

    after = kept(tmp_path)
    assert [call.record_id for call in after.restore().calls] == ["a", "c"]
    assert listener.failures == []
    after.close()


async def test_a_fact_that_cannot_be_kept_stands_whole_in_the_log(
    journal: Journal, listener: Listener
) -> None:
    record = RECORD._replace(record_id="\ud800")
    with capture_logs() as lines:
        journal.append([CallSaved("a", "\ud800"), CallRecorded(record)])
        await until(lambda: listener.position == 2)

    assert [line["fact"] for line in lines if line["event"] == "fact_lost"] == [
        r"saved call a: '\ud800'",
        repr(record),
    ]


@pytest.mark.parametrize("obstacle", ["a file", "a loop"])
async def test_a_file_that_cannot_be_looked_at_costs_no_fact(
    obstacle: str, journal: Journal, store: UnreliableStore, listener: Listener, tmp_path: Path
) -> None:
    """Errors of the file system that are none of SQLite's are no fault of the facts either."""
    directory = tmp_path / "var"
    moved = tmp_path / "moved"
    tmp_path.joinpath("journal.sqlite3").unlink()
    store.move_to(directory / "journal.sqlite3")
    directory.rename(moved)
    if obstacle == "a file":
        directory.write_text("")
    else:
        directory.symlink_to(directory)

    journal.append([recorded("call")])
    await until(lambda: bool(listener.failures))
    assert listener.position == 0
    with store.files:
        directory.unlink()
        moved.rename(directory)
    await until(lambda: listener.position == 1)
    assert [one.record_id for one in await journal.next_records(9)] == ["call"]


async def test_closing_writes_what_waits(store: UnreliableStore, listener: Listener, tmp_path: Path) -> None:
    journal = Journal(store, listener=listener)
    journal.append([CallSaved("a", "state")])
    journal.start()

    assert await journal.close()
    after = kept(tmp_path)
    assert len(after.restore().calls) == 1
    after.close()


async def test_closing_on_a_full_disk_says_that_something_is_lost(
    store: UnreliableStore, listener: Listener
) -> None:
    journal = Journal(store, listener=listener)
    store.is_full = True
    journal.start()
    journal.append([CallSaved("a", "state")])

    assert not await journal.close()


async def test_hands_out_records_and_forgets_them(journal: Journal) -> None:
    journal.append([recorded("a"), recorded("b"), recorded("c")])

    first, second = await journal.next_records(2)
    await journal.forget_records([first])
    await journal.put_last([second])
    assert (first.record_id, second.record_id) == ("a", "b")
    assert [one.record_id for one in await journal.next_records(10)] == ["c", "b"]


async def test_a_question_that_fails_unexpectedly_keeps_no_fact_from_being_written(
    journal: Journal, store: UnreliableStore, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(limit: int) -> None:
        raise MemoryError(f"no room for {limit} records")

    monkeypatch.setattr(store, "next_records", fail)
    with pytest.raises(MemoryError):
        await journal.next_records(500)
    journal.append([recorded("a")])

    await until(lambda: listener.position == 1)


async def test_questions_fail_loudly_while_the_file_is_closed(
    journal: Journal, store: UnreliableStore
) -> None:
    store.close()

    with pytest.raises(sqlite3.Error):
        await journal.next_records(1)

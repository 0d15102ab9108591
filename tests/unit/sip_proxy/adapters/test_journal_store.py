"""The journal on disk: what it keeps, and that it keeps all or nothing."""

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest

from sip_proxy.adapters.journal_store import (
    JournalStore,
    SavedCall,
    UnableToOpenJournal,
    UndeliveredRecord,
)
from sip_proxy.adapters.record_json import record_json
from sip_proxy.core.dialog.call_record import CallRecord, EndedBy, Outcome
from sip_proxy.core.outputs import NO_BINDINGS, BindingsChanged, CallRecorded, CallSaved, Registration

RECORD = CallRecord(
    record_id="r1",
    call_id="a@b",
    caller="0001",
    callee="0002",
    emergency=False,
    invited_at=1_795_300_000.0,
    ringing_at=1_795_300_000.1,
    answered_at=1_795_300_004.0,
    acknowledged_at=None,
    ended_at=1_795_300_064.0,
    duration_us=60_000_000,
    outcome=Outcome.ANSWERED,
    status=200,
    reason="OK",
    ended_by=EndedBy.CALLER,
)
REGISTRATION = Registration("0001", "sip:0001@192.0.2.1", "UDP", "192.0.2.1:5060", "phone", 0.0, 60.0)


def recorded(record_id: str) -> CallRecorded:
    return CallRecorded(RECORD._replace(record_id=record_id))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[JournalStore]:
    store = JournalStore(path, boot_id="this boot")
    store.open()
    yield store
    store.close()


def reopened(store: JournalStore, path: Path, *, boot_id: str = "this boot") -> JournalStore:
    """Open the file as the next process does."""
    store.close()
    other = JournalStore(path, boot_id=boot_id)
    other.open()
    return other


def test_a_new_journal_knows_nothing(store: JournalStore) -> None:
    restored = store.restore()

    assert (restored.calls, restored.bindings, restored.undelivered) == ((), (), 0)


def test_a_saved_call_is_there_after_a_restart(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "old"), CallSaved("r1", "state")])
    after = reopened(store, path)

    assert after.restore().calls == (SavedCall("r1", "state", same_boot=True),)
    after.close()


def test_a_call_saved_before_the_machine_was_restarted_is_told_apart(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "state")])
    after = reopened(store, path, boot_id="next boot")

    assert after.restore().calls == (SavedCall("r1", "state", same_boot=False),)
    after.close()


def test_a_record_takes_the_place_of_its_saved_call(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "state"), CallSaved("r2", "other")])
    store.write([recorded("r1")])
    after = reopened(store, path)

    assert [call.record_id for call in after.restore().calls] == ["r2"]
    assert after.restore().undelivered == 1
    assert after.next_records(10) == [UndeliveredRecord(1, "r1", record_json(RECORD))]
    after.close()


class UnsureConnection(sqlite3.Connection):
    """Commits, and then says that it could not, once: a disk that fails while the log is being synced."""

    fails = False

    def __exit__(self, *error: Any) -> Literal[False]:
        super().__exit__(*error)
        if UnsureConnection.fails:
            UnsureConnection.fails = False
            raise sqlite3.OperationalError("disk I/O error")
        return False


def test_what_is_on_disk_although_writing_failed_is_written_again_and_forgotten_with_its_twin(
    path: Path,
) -> None:
    """Facts are tried again until they are on disk: no call may stand for ever because of that."""

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, factory=UnsureConnection, **options)

    store = JournalStore(path, boot_id="this boot", connect=connect)
    store.open()
    store.write([CallSaved("ended", "state")])
    group = [recorded("ended"), CallSaved("standing", "state")]
    UnsureConnection.fails = True
    with pytest.raises(sqlite3.OperationalError):
        store.write(group)
    store.reopen()
    store.write(group)
    calls, records = store.restore().calls, store.next_records(10)
    store.write([recorded("standing")])
    store.forget_records(records)
    after = (store.restore().calls, [one.record_id for one in store.next_records(10)])
    store.close()

    assert calls == (SavedCall("standing", "state", same_boot=True),)
    assert {one.record_id for one in records} == {"ended"}
    assert after == ((), ["standing"])


def test_a_call_whose_record_could_not_be_written_is_still_forgotten_with_it(store: JournalStore) -> None:
    store.write([CallSaved("r1", "state")])
    unwritable = BindingsChanged("\ud800", (), "state")  # no UTF-8 form
    with pytest.raises((sqlite3.Error, UnicodeEncodeError)):
        store.write([recorded("r1"), unwritable])
    store.write([recorded("r1")])

    assert (store.restore().calls, store.restore().undelivered) == ((), 1)


def test_a_call_saved_again_keeps_its_place(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "answered"), CallSaved("r2", "answered")])
    after = reopened(store, path)
    after.write([CallSaved("r1", "acknowledged"), CallSaved("r3", "answered")])
    after.write([recorded("r1"), recorded("r3")])

    assert after.restore().calls == (SavedCall("r2", "answered", same_boot=True),)
    after.close()


def test_the_place_of_a_call_that_was_never_written_may_be_given_to_another(
    store: JournalStore, path: Path
) -> None:
    """Else the record of the one would take the other, which stands, with it."""
    with pytest.raises((sqlite3.Error, UnicodeEncodeError)):
        store.write([CallSaved("ended", "state"), CallSaved("unwritable", "\ud800")])
    store.write([recorded("ended")])
    after = reopened(store, path)
    after.write([CallSaved("standing", "state")])
    before = after.restore().calls
    after.forget_records(after.next_records(10))

    assert before == after.restore().calls == (SavedCall("standing", "state", same_boot=True),)
    after.close()


def test_nothing_of_a_call_is_left_when_billing_has_its_record(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "state"), recorded("r1"), CallSaved("r2", "state"), recorded("r2")])
    store.put_last(store.next_records(1))
    store.forget_records(store.next_records(1))
    store.close()

    with closing(sqlite3.connect(path)) as journal:
        assert journal.execute("SELECT record_id FROM saved_call").fetchall() == [("r1",)]


def test_a_group_writes_few_pages_however_many_calls_stand(store: JournalStore, path: Path) -> None:
    """Ids are random, and so is which calls end; what is written comes to the ends of two tables.

    A page costs as much as many facts.
    """
    random = Random(1)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(1000)]
    store.write([CallSaved(record_id, "state" * 80) for record_id in ids])
    random.shuffle(ids)
    store.write([recorded(record_id) for record_id in ids[:300]])
    log = path.with_name(f"{path.name}-wal")
    before = log.stat().st_size
    saved = [CallSaved(f"{random.getrandbits(128):032x}", "state" * 80) for _ in range(10)]
    store.write([*saved, *(recorded(record_id) for record_id in ids[300:310])])

    assert log.stat().st_size - before < 8 * 4200


def test_records_come_oldest_first_and_no_more_than_asked_for(store: JournalStore) -> None:
    store.write([recorded(name) for name in ("c", "a", "b")])

    assert [one.record_id for one in store.next_records(2)] == ["c", "a"]


def test_a_confirmed_record_is_forgotten(store: JournalStore) -> None:
    store.write([recorded("a"), recorded("b")])
    first, second = store.next_records(10)
    store.forget_records([first, UndeliveredRecord(second.sequence, "of another file", "")])

    assert [one.record_id for one in store.next_records(10)] == ["b"]


def test_a_record_that_billing_cannot_read_goes_last(store: JournalStore) -> None:
    store.write([recorded("bad"), recorded("good")])
    store.put_last(store.next_records(1))
    store.write([recorded("new")])

    assert [one.record_id for one in store.next_records(10)] == ["good", "new", "bad"]


def test_damaged_text_holds_up_nothing_else(store: JournalStore, path: Path) -> None:
    """Bytes that are no UTF-8: SQLite would refuse to read the rows before and after them as well."""
    store.write([recorded("r1"), recorded("r2"), CallSaved("r3", "3"), CallSaved("r4", "4")])
    store.close()
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("UPDATE undelivered_record SET record = CAST(X'7BFF' AS TEXT) WHERE record_id = 'r1'")
        journal.execute("UPDATE saved_call SET state = CAST(X'FF' AS TEXT) WHERE record_id = 'r3'")
    store.open()

    assert store.next_records(10) == [
        UndeliveredRecord(1, "r1", "{\N{REPLACEMENT CHARACTER}"),
        UndeliveredRecord(2, "r2", record_json(RECORD._replace(record_id="r2"))),
    ]
    assert [(call.record_id, call.state) for call in store.restore().calls] == [
        ("r3", "\N{REPLACEMENT CHARACTER}"),
        ("r4", "4"),
    ]


def damage(path: Path, statement: str) -> None:
    """Change a closed journal as a flipped bit would, which no constraint keeps from it."""
    with closing(sqlite3.connect(path)) as journal, journal:
        schema = journal.execute("SELECT sql, name FROM sqlite_schema WHERE type = 'table'").fetchall()
        journal.execute("PRAGMA writable_schema = ON")
        journal.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute(statement)
        journal.execute("PRAGMA writable_schema = ON")
        journal.executemany("UPDATE sqlite_schema SET sql = ? WHERE name = ?", schema)


@pytest.mark.parametrize("column", ["record_id", "state"])
@pytest.mark.parametrize("value", ["CAST({} AS BLOB)", "NULL"])
def test_a_damaged_call_holds_up_no_other(store: JournalStore, path: Path, column: str, value: str) -> None:
    store.write([CallSaved("r1", "1"), CallSaved("r2", "2"), CallSaved("r3", "3")])
    store.close()
    damage(path, f"UPDATE saved_call SET {column} = {value.format(column)} WHERE record_id = 'r2'")
    store.open()

    states = [call.state for call in store.restore().calls]
    assert (states[0], states[-1]) == ("1", "3")


@pytest.mark.parametrize(
    "damaged",
    [
        "record_id = CAST(record_id AS BLOB)",
        "record_id = NULL",
        "record = CAST(record AS BLOB)",
        "record = NULL",
        "refusals = NULL",
        "refusals = -1",
        "refusals = X''",
        "saved_call = NULL",
    ],
)
def test_a_damaged_record_holds_up_no_other_and_no_call(
    store: JournalStore, path: Path, damaged: str
) -> None:
    """One bit makes bytes of a text, or nothing of a number that is 0."""
    store.write([*(CallSaved(name, name) for name in ("r1", "r2", "r3")), recorded("r1"), recorded("r2")])
    store.close()
    damage(path, f"UPDATE undelivered_record SET {damaged} WHERE record_id = 'r1'")
    store.open()
    calls = [call.record_id for call in store.restore().calls]
    records = store.next_records(10)
    store.put_last(records)
    store.forget_records(store.next_records(10))

    assert calls[-1] == "r3"
    assert "r2" not in calls
    assert sorted(record.sequence for record in records) == [1, 2]
    assert all(isinstance(part, str) for record in records for part in record[1:])
    assert "r2" not in [record.record_id for record in store.next_records(10)]


def test_a_record_whose_text_became_bytes_is_delivered_and_forgotten(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "state"), recorded("r1")])
    store.close()
    damage(
        path,
        "UPDATE undelivered_record SET record_id = CAST(record_id AS BLOB), record = CAST(record AS BLOB)",
    )
    store.open()
    calls, records = store.restore().calls, store.next_records(10)
    store.forget_records(records)

    assert (calls, records) == ((), [UndeliveredRecord(1, "r1", record_json(RECORD))])
    assert store.next_records(10) == []


def test_what_is_delivered_next_is_found_without_looking_at_all_that_waits(path: Path) -> None:
    steps = 0

    def count_step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*arguments, **options)
        connection.set_progress_handler(count_step, 1)
        return connection

    store = JournalStore(path, boot_id="this boot", connect=connect)
    store.open()
    store.write([recorded(str(number)) for number in range(1000)])
    steps = 0
    records = store.next_records(5)
    steps_of_reading = steps
    store.close()

    assert [record.record_id for record in records] == ["0", "1", "2", "3", "4"]
    assert steps_of_reading < 200


def test_bindings_are_kept_until_a_number_has_none(store: JournalStore, path: Path) -> None:
    store.write(
        [
            BindingsChanged("0001", (REGISTRATION,), "one"),
            BindingsChanged("0002", (REGISTRATION,), "two"),
            BindingsChanged("0001", (REGISTRATION,), "one again"),
            BindingsChanged("0002", (), NO_BINDINGS),
        ]
    )
    after = reopened(store, path)

    assert after.restore().bindings == (("0001", "one again"),)
    after.close()


def test_facts_are_written_all_or_not_at_all(store: JournalStore) -> None:
    unwritable = CallSaved("r2", b"\x00".decode() + "\ud800")  # no UTF-8 form

    with pytest.raises((sqlite3.Error, UnicodeEncodeError)):
        store.write([CallSaved("r1", "state"), unwritable])

    assert store.restore().calls == ()


def test_two_exchanges_cannot_share_a_journal(store: JournalStore, path: Path) -> None:
    def impatient(*arguments: object, **options: object) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **{**options, "timeout": 0})  # type: ignore[call-overload, no-any-return]

    store.write([CallSaved("r1", "state")])

    with pytest.raises(UnableToOpenJournal, match="no other exchange"):
        JournalStore(path, boot_id="this boot", connect=impatient).open()


def test_a_file_that_is_no_journal_is_left_alone(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 100)

    with pytest.raises(UnableToOpenJournal, match=r"journal\.sqlite3"):
        JournalStore(path, boot_id="this boot").open()

    assert path.read_bytes().startswith(b"something else")


def test_a_journal_with_a_broken_page_is_one_clear_error(store: JournalStore, path: Path) -> None:
    store.write([BindingsChanged("0001", (REGISTRATION,), "state " + "x" * 9000)])
    store.close()
    content = bytearray(path.read_bytes())
    place = content.index(b"state xxx")
    page_size = int.from_bytes(content[16:18], "big")
    page = place // page_size * page_size
    content[page : page + 8] = b"\xff" * 8  # what kind of page it is, and where its cells are
    path.write_bytes(content)

    store.open()
    with pytest.raises(UnableToOpenJournal, match=r"can't be read .*Keep a copy"):
        store.restore()


def test_a_journal_of_a_newer_version_is_refused(store: JournalStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(UnableToOpenJournal, match="newer version"):
        JournalStore(path, boot_id="this boot").open()


_SCHEMA_OF_VERSION = {
    1: """
        CREATE TABLE saved_call (
            record_id TEXT PRIMARY KEY, boot_id TEXT NOT NULL, state TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE undelivered_record (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT, record_id TEXT NOT NULL UNIQUE,
            refusals INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL
        );
    """,
    2: """
        CREATE TABLE saved_call (
            sequence INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE,
            boot_id TEXT NOT NULL, state TEXT NOT NULL
        );
        CREATE TABLE undelivered_record (
            sequence INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE,
            refusals INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL
        );
    """,
    3: """
        CREATE TABLE saved_call (
            sequence INTEGER PRIMARY KEY, record_id TEXT NOT NULL, boot_id TEXT NOT NULL, state TEXT NOT NULL
        );
        CREATE TABLE undelivered_record (
            sequence INTEGER PRIMARY KEY, record_id TEXT NOT NULL,
            refusals INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL
        );
    """,
}


@pytest.mark.parametrize("version", _SCHEMA_OF_VERSION)
def test_a_journal_of_an_earlier_version_loses_nothing_when_it_is_opened(version: int, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(
            f"""
            {_SCHEMA_OF_VERSION[version]}
            CREATE TABLE bindings (number TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
            INSERT INTO saved_call (record_id, boot_id, state)
                VALUES ('r4', 'this boot', 'state'), ('r5', 'another', 'old');
            INSERT INTO undelivered_record (record_id, refusals, record)
                VALUES ('r1', 1, 'unreadable'), ('r3', 0, 'first'), ('r2', 0, 'second');
            INSERT INTO bindings VALUES ('0001', 'phones');
            PRAGMA user_version = {version};
            """
        )
    connection.close()
    store = JournalStore(path, boot_id="this boot")
    store.open()
    try:
        restored = store.restore()
        records = store.next_records(10)
        store.write([recorded("r4")])
        after = store.restore()
        store.forget_records(store.next_records(10))
        at_last = store.restore()
    finally:
        store.close()

    assert restored.calls == (
        SavedCall("r4", "state", same_boot=True),
        SavedCall("r5", "old", same_boot=False),
    )
    assert (restored.bindings, restored.undelivered) == ((("0001", "phones"),), 3)
    assert [(each.record_id, each.record) for each in records] == [
        ("r3", "first"),
        ("r2", "second"),
        ("r1", "unreadable"),
    ]
    assert ([call.record_id for call in after.calls], after.undelivered) == (["r5"], 4)
    assert (at_last.calls, at_last.undelivered) == (after.calls, 0)


def test_the_journal_is_its_owners_alone(store: JournalStore, path: Path) -> None:
    store.write([CallSaved("r1", "state")])

    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the directory should be")

    with pytest.raises(UnableToOpenJournal, match="writable"):
        JournalStore(tmp_path / "var" / "journal.sqlite3", boot_id="this boot").open()


@pytest.mark.parametrize("mischief", ["deleted", "all deleted", "moved", "another put there"])
def test_a_journal_whose_file_is_gone_puts_it_back_with_all_that_is_in_it(
    mischief: str, store: JournalStore, path: Path
) -> None:
    """SQLite goes on writing to a file without a name, and whoever starts next finds nothing."""
    store.write(
        [CallSaved("standing", "state"), recorded("undelivered"), BindingsChanged("0001", (), "bound")]
    )
    if mischief == "another put there":
        path.with_name("other").write_bytes(b"")
        path.with_name("other").rename(path)
    elif mischief == "moved":
        path.parent.rename(path.parent.with_name("moved"))
    else:
        for file in path.parent.glob("*" if mischief == "all deleted" else path.name):
            file.unlink()
    store.write([CallSaved("later", "state")])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    after = reopened(store, path)
    restored = after.restore()
    assert [call.record_id for call in restored.calls] == ["standing", "later"]
    assert (restored.bindings, restored.undelivered) == ((("0001", "bound"),), 1)
    after.write([recorded("next")])
    assert [record.record_id for record in after.next_records(9)] == ["undelivered", "next"]
    after.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_while_its_file_cannot_be_put_back_nothing_of_the_journal_is_lost(
    store: JournalStore, path: Path
) -> None:
    store.write([CallSaved("standing", "state")])
    path.unlink()
    obstacle = path.with_name(f"{path.name}.copy")
    obstacle.mkdir()

    for attempt in (store.reopen, lambda: store.write([recorded("later")])):
        with pytest.raises(sqlite3.Error, match="gone"):
            attempt()
    obstacle.rmdir()
    store.reopen()
    assert [call.record_id for call in store.restore().calls] == ["standing"]


def test_a_closed_journal_refuses_work(store: JournalStore) -> None:
    store.close()

    with pytest.raises(sqlite3.Error):
        store.write([CallSaved("r1", "state")])


def test_a_record_reads_as_the_contract_says() -> None:
    assert json.loads(record_json(RECORD)) == {
        "record_id": "r1",
        "call_id": "a@b",
        "caller": "0001",
        "callee": "0002",
        "emergency": False,
        "invited_at": "2026-11-21T22:26:40.000000Z",
        "ringing_at": "2026-11-21T22:26:40.100000Z",
        "answered_at": "2026-11-21T22:26:44.000000Z",
        "acknowledged_at": None,
        "ended_at": "2026-11-21T22:27:44.000000Z",
        "duration_us": 60_000_000,
        "outcome": "answered",
        "status": 200,
        "reason": "OK",
        "ended_by": "caller",
    }


def test_a_record_holds_nothing_that_a_database_refuses() -> None:
    document = json.loads(record_json(RECORD._replace(call_id="a\0b\udcff", callee="\udc80", reason="Größe")))

    assert (document["call_id"], document["callee"], document["reason"]) == ("a\ufffdb?", "?", "Größe")

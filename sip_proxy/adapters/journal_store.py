"""The journal on disk: what must outlive a crash of the exchange, in one SQLite file.

Saved calls (to route and bill them after a restart), call records that billing has not confirmed, and the
bindings of phones. Every write is one transaction, on disk when it returns.

A call is over as soon as its record is in the file: it is not restored any more. What was saved of it goes
with the record, in the transaction that forgets this; so what is written while somebody waits comes to the
ends of two tables.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from sip_proxy.adapters.record_json import record_json
from sip_proxy.core.outputs import NO_BINDINGS, BindingsChanged, CallRecorded, CallSaved

log = structlog.get_logger()

Fact = CallSaved | CallRecorded | BindingsChanged
"""What the journal keeps."""

_SCHEMA_VERSION = 4
# Calls and records stand in the file in the order of time: those of one group are neighbours, so that a
# commit writes few pages. Ids are random: in their order, it would write one for every call, and so it would
# for an index of them. So we find what we have written by its place; a record says in `saved_call` where its
# call is, if it was saved. The last places are given again when they are free, so the ids must agree.
_CALLS_GO_WITH_THEIR_RECORDS = """
CREATE TRIGGER a_call_goes_with_its_record AFTER DELETE ON undelivered_record BEGIN
    DELETE FROM saved_call WHERE sequence = OLD.saved_call AND record_id = OLD.record_id;
END;
"""
_CALLS_AND_RECORDS = f"""
CREATE TABLE saved_call (
    sequence INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    state TEXT NOT NULL
);
CREATE TABLE undelivered_record (
    sequence INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    refusals INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL,
    saved_call INTEGER
);
{_CALLS_GO_WITH_THEIR_RECORDS}"""
_SCHEMA = f"""{_CALLS_AND_RECORDS}
CREATE TABLE bindings (
    number TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
"""
# Version 3 forgot a call when it kept its record.
_FROM_VERSION_3 = f"""
ALTER TABLE undelivered_record ADD COLUMN saved_call INTEGER;
{_CALLS_GO_WITH_THEIR_RECORDS}"""
# So did versions 1 and 2, which had indexes of the ids, and version 1 its calls in their order.
_FROM_EARLIER_VERSIONS = f"""
ALTER TABLE saved_call RENAME TO earlier_saved_call;
ALTER TABLE undelivered_record RENAME TO earlier_undelivered_record;
{_CALLS_AND_RECORDS}
INSERT INTO saved_call (record_id, boot_id, state) SELECT record_id, boot_id, state FROM earlier_saved_call;
INSERT INTO undelivered_record (sequence, record_id, refusals, record)
    SELECT sequence, record_id, refusals, record FROM earlier_undelivered_record;
DROP TABLE earlier_saved_call;
DROP TABLE earlier_undelivered_record;
"""
# A flipped bit can make bytes or nothing of a text, and of a number anything. That may cost what it hits, but
# no other call or record: to be NOT IN a list that has one NULL is true of nothing.
_ID_OF_RECORD = "ifnull(CAST(record_id AS TEXT), '')"
_STANDING_CALLS = (
    "SELECT record_id, sequence FROM saved_call"
    f" WHERE ifnull(record_id, '') NOT IN (SELECT {_ID_OF_RECORD} FROM undelivered_record) ORDER BY sequence"
)
_SAVED_CALL = "SELECT state, boot_id FROM saved_call WHERE sequence = ?"
_LAST_PLACE = "SELECT coalesce(max(sequence), 0) FROM saved_call"
_SAVE_CALL = "INSERT OR REPLACE INTO saved_call (sequence, record_id, boot_id, state) VALUES (?, ?, ?, ?)"
_KEEP_RECORD = "INSERT INTO undelivered_record (record_id, record, saved_call) VALUES (?, ?, ?)"
_SAVE_BINDINGS = "INSERT OR REPLACE INTO bindings (number, state) VALUES (?, ?)"
_FORGET_BINDINGS = "DELETE FROM bindings WHERE number = ?"
# Two questions, so that the first is answered without looking at all that wait: after a long time without
# billing, the calls that are being answered would have to wait for that.
# The JSON null is nothing that billing can read, so it is put last.
_UNDELIVERED = (
    f"SELECT sequence, {_ID_OF_RECORD}, ifnull(CAST(record AS TEXT), 'null') FROM undelivered_record"
)
_NEXT_RECORDS = f"{_UNDELIVERED} WHERE refusals = 0 ORDER BY sequence LIMIT ?"
_NEXT_REFUSED = f"{_UNDELIVERED} WHERE (refusals = 0) IS NOT TRUE ORDER BY refusals, sequence LIMIT ?"
# The id as well: should another file be in the place of the one that the records were read from, nothing may
# be forgotten that was not delivered.
_FORGET_RECORD = f"DELETE FROM undelivered_record WHERE sequence = ? AND {_ID_OF_RECORD} = ?"
_COUNT_REFUSAL = (
    "UPDATE undelivered_record SET refusals = ifnull(CAST(refusals AS INTEGER), 0) + 1"
    f" WHERE sequence = ? AND {_ID_OF_RECORD} = ?"
)


class UnableToOpenJournal(Exception):
    """The journal can't be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class SavedCall:
    """A call that stood when the exchange stopped. `same_boot`: the monotonic clock has gone on since."""

    record_id: str
    state: str
    same_boot: bool


class UndeliveredRecord(NamedTuple):
    """A call record that billing has not confirmed; `record` is its JSON text.

    `sequence` is its place in the journal. The same record may stand in two places, when a disk had kept a
    group that it said it could not keep: billing's unique key sees to it that it is billed once.
    """

    sequence: int
    record_id: str
    record: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What the journal knows at the start."""

    calls: tuple[SavedCall, ...]
    bindings: tuple[tuple[str, str], ...]
    undelivered: int


class JournalStore:
    """The journal's file. Not safe for use by two threads at once."""

    def __init__(
        self, path: Path, *, boot_id: str, connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    ) -> None:
        self._path = path
        self._boot_id = boot_id
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)  # device and inode
        # Where the calls that stand are: their sequences by their record ids, and the last that was given.
        self._places: dict[str, int] = {}
        self._last_place = 0

    def open(self) -> None:
        """Open the file, making it when there is none.

        Raises UnableToOpenJournal.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise UnableToOpenJournal(
                f"The journal {self._path} can't be opened ({error}); "
                "is the directory writable, and does no other exchange use it?"
            ) from error

    def reopen(self) -> None:
        """Open the file afresh after an error. Raises UnableToOpenJournal, or sqlite3.Error."""
        self._see_that_it_is_there()
        self.close()
        self.open()

    def close(self) -> None:
        """Close the file; writing and reading end here."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def restore(self) -> Restored:
        """Read the calls that stand and everything else that was kept. Raises UnableToOpenJournal."""
        connection = self._open_connection
        try:
            bindings = connection.execute("SELECT number, state FROM bindings ORDER BY number")
            (undelivered,) = connection.execute("SELECT count(*) FROM undelivered_record").fetchone()
            return Restored(
                calls=tuple(
                    SavedCall(record_id, state, boot_id == self._boot_id)
                    for record_id, place in self._places.items()
                    for state, boot_id in connection.execute(_SAVED_CALL, (place,))
                ),
                bindings=tuple((number, state) for number, state in bindings),
                undelivered=undelivered,
            )
        except sqlite3.Error as error:
            raise UnableToOpenJournal(
                f"The journal {self._path} can't be read ({error}). Keep a copy: it has calls that were not "
                "billed yet, and `sqlite3 COPY .recover` may find them"
            ) from error

    def write(self, facts: Iterable[Fact]) -> None:
        """Keep facts, in order, in one transaction. Raises sqlite3.Error and then has kept none of them."""
        self._see_that_it_is_there()
        connection = self._open_connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            saved = []
            ended = []
            for fact in facts:
                if isinstance(fact, CallSaved):
                    saved.append((self._place_for(fact.record_id), fact.record_id, self._boot_id, fact.state))
                elif isinstance(fact, BindingsChanged):
                    self._write_bindings(connection, fact)
                else:
                    record_id = fact.record.record_id
                    ended.append((record_id, record_json(fact.record), self._places.get(record_id)))
            connection.executemany(_SAVE_CALL, saved)
            connection.executemany(_KEEP_RECORD, ended)
            connection.execute("COMMIT")  # a statement that is kept, which `with` would have parsed each time
        # Only now: had it failed, the calls would still stand.
        for record_id, _, _ in ended:
            self._places.pop(record_id, None)

    def has_call(self, record_id: str) -> bool:
        """Tell whether a call that stands is, or may be, in the file."""
        return record_id in self._places

    def next_records(self, limit: int) -> list[UndeliveredRecord]:
        """Return the next records to deliver, oldest first. Raises sqlite3.Error.

        Those that billing refused to read come last, so that they can't hold up the others.
        """
        rows = self._open_connection.execute(_NEXT_RECORDS, (limit,)).fetchall()
        if len(rows) < limit:
            rows += self._open_connection.execute(_NEXT_REFUSED, (limit - len(rows),))
        return [UndeliveredRecord(*row) for row in rows]

    def forget_records(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has these: nothing of their calls is needed any more. Raises sqlite3.Error."""
        self._for_each(_FORGET_RECORD, records)

    def put_last(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has no answer for these: others go first from now on. Raises sqlite3.Error."""
        self._for_each(_COUNT_REFUSAL, records)

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the journal is not open")
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        # Who called whom is nobody's business; SQLite gives its other files the mode of this one.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        # The file is opened by the main thread at the start and then used by the journal's own thread alone.
        connection = self._connect(
            self._path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        # A row that the disk or somebody damaged must not hold up all others: what is in it is judged later.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            # One exchange per journal: a second one would bill the first one's calls.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: what is committed survives a loss of power, not just of the process.
            connection.execute("PRAGMA synchronous = FULL")
            # To find what stands takes no room on a disk, which may be full.
            connection.execute("PRAGMA temp_store = MEMORY")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("a newer version of the exchange wrote it")
            if version < _SCHEMA_VERSION:
                changes = {0: _SCHEMA, 3: _FROM_VERSION_3}.get(version, _FROM_EARLIER_VERSIONS)
                connection.executescript(
                    f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
                )
            self._places = dict(connection.execute(_STANDING_CALLS))
            (self._last_place,) = connection.execute(_LAST_PLACE).fetchone()
            self._file = _file_at(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _see_that_it_is_there(self) -> None:
        """Put a copy in the file's place if somebody deleted or moved it.

        SQLite would go on writing to a file without a name, and the next process would find none of it.
        Raises sqlite3.Error when it can't be seen, or the copy can't be written; nothing is lost then, and it
        can be tried again.
        """
        if self._connection is None:
            return
        try:
            if _file_at(self._path) == self._file:
                return
            copy = self._path.with_name(f"{self._path.name}.copy")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                self._connection.execute("VACUUM INTO ?", (str(copy),))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            # What belonged to the lost file must not be taken for this one's.
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
            os.replace(copy, self._path)
        except OSError as error:
            raise sqlite3.OperationalError(f"the journal's file is gone ({error})") from error
        log.error(
            "journal_put_back", path=str(self._path), effect="its file was deleted or moved; nothing is lost"
        )
        self.close()
        self.open()

    def _write_bindings(self, connection: sqlite3.Connection, fact: BindingsChanged) -> None:
        if fact.state != NO_BINDINGS:
            connection.execute(_SAVE_BINDINGS, (fact.number, fact.state))
        else:
            connection.execute(_FORGET_BINDINGS, (fact.number,))

    def _place_for(self, record_id: str) -> int:
        """Return where a call is saved, or is to be."""
        place = self._places.get(record_id)
        if place is None:
            place = self._places[record_id] = self._last_place = self._last_place + 1
        return place

    def _for_each(self, statement: str, records: Sequence[UndeliveredRecord]) -> None:
        connection = self._open_connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, [(each.sequence, each.record_id) for each in records])


def _file_at(path: Path) -> tuple[int, int]:
    """Return what tells a file from another that has its name, (0, 0) when there is none.

    Raises OSError when that can't be seen.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return (0, 0)
    return (found.st_dev, found.st_ino)

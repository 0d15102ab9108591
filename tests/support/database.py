"""A real PostgreSQL for tests: one server per test process, a migrated database without data per test."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from billing_service.storage.embedded_postgres import EmbeddedPostgres, server_directory
from billing_service.storage.embedded_postgres import database_url as embedded_url
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import migrate
from billing_service.storage.tables import Base
from billing_service.storage.unit_of_work import Database

# Nothing of a test has to survive a power cut.
FAST_AND_LOOSE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
_TEMPLATE = "tollbell_template"
_numbers = itertools.count(1)
_clean: list[str] = []
# A connection to each database in use, kept: a new one would have to read all about fifty tables each time.
_emptying: dict[str, Engine] = {}
_EMPTYING = (
    "SET LOCAL session_replication_role = replica",  # no triggers: history may go, and no foreign keys
    """DO $$ DECLARE part regclass; BEGIN
       FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'calls'::regclass LOOP
         EXECUTE 'DROP TABLE ' || part;
       END LOOP; END $$""",
    *(f"DELETE FROM {table}" for table in Base.metadata.tables),
    *(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, false)"
        for table, definition in Base.metadata.tables.items()
        if "id" in definition.columns and definition.columns["id"].identity is not None
    ),
    "INSERT INTO directory_clock DEFAULT VALUES",
    "INSERT INTO system_settings DEFAULT VALUES",
)


@pytest.fixture(scope="session")
def postgres_var() -> Iterator[Path]:
    """The `TOLLBELL_VAR` directory of a running PostgreSQL that all tests of this process share."""
    var = Path(tempfile.mkdtemp(prefix="tollbell-test-"))
    server = EmbeddedPostgres(server_directory(var), options=FAST_AND_LOOSE)
    server.start()
    try:
        yield var
    finally:
        while _emptying:
            _emptying.popitem()[1].dispose()
        server.stop()
        shutil.rmtree(var)
        if server.sockets.exists():
            shutil.rmtree(server.sockets)


@pytest.fixture(scope="session")
def template_database(postgres_var: Path) -> str:
    """The name of a migrated database without data; nobody may stay connected to it."""
    _administer(postgres_var, f"CREATE DATABASE {_TEMPLATE}")
    engine = make_engine(embedded_url(postgres_var, _TEMPLATE))
    migrate(engine)
    engine.dispose()
    return _TEMPLATE


@pytest.fixture
def empty_database_url(postgres_var: Path) -> Iterator[URL]:
    """A database of the test's own with nothing in it, not even tables."""
    name = f"empty_{next(_numbers)}"
    _administer(postgres_var, f"CREATE DATABASE {name}")
    yield embedded_url(postgres_var, name)
    _administer(postgres_var, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_database_url(postgres_var: Path, template_database: str) -> Iterator[URL]:
    """A migrated database that the test may alter as it likes; takes 0.4 s to make."""
    name = _clone(postgres_var, template_database)
    yield embedded_url(postgres_var, name)
    _administer(postgres_var, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_var: Path, template_database: str) -> Iterator[URL]:
    """A migrated database without data, the test's own. Its schema has to stay as it is.

    Emptied after the test and used again, which is many times faster than a new one.
    """
    name = _clean.pop() if _clean else _clone(postgres_var, template_database)
    url = embedded_url(postgres_var, name)
    yield url
    empty(url)
    _clean.append(name)


@contextmanager
def database_to_read(var: Path, template: str) -> Iterator[Database]:
    """A migrated database that several tests read: whoever asks for it fills it first."""
    name = _clone(var, template)
    database = Database.at(embedded_url(var, name), threads=4)
    yield database
    database.close()
    _administer(var, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    """Units of work on a migrated database of the test's own."""
    database = Database.at(database_url, threads=4)
    yield database
    database.close()


@contextmanager
def cloned_database(var: Path, url: URL, database: Database) -> Iterator[URL]:
    """A copy of a test's database, data and all. `database`, who uses it, is disconnected for a moment."""
    assert url.database is not None, "a test's database has a name"
    database.engine.dispose()
    if url.database in _emptying:
        _emptying.pop(url.database).dispose()
    name = _clone(var, url.database)
    yield embedded_url(var, name)
    _administer(var, f"DROP DATABASE {name} WITH (FORCE)")


def _clone(var: Path, template: str) -> str:
    name = f"test_{next(_numbers)}"
    _administer(var, f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


def empty(url: URL) -> None:
    """Put a database back to how the migrations left it."""
    assert url.database is not None, "a test's database has a name"
    if url.database not in _emptying:
        _emptying[url.database] = create_engine(url, pool_pre_ping=True)
    with _emptying[url.database].begin() as connection:
        # Whoever is still connected (a killed program's work under way) must not write into the next test.
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        connection.execute(text("; ".join(_EMPTYING)))


def _administer(var: Path, statement: str) -> None:
    engine = create_engine(embedded_url(var, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()

"""A real PostgreSQL for tests: one server per test process, and a fresh migrated database per test."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

from billing_service.storage.embedded_postgres import EmbeddedPostgres, server_directory
from billing_service.storage.embedded_postgres import database_url as embedded_url
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import migrate
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


@pytest.fixture(scope="session")
def postgres_var() -> Iterator[Path]:
    """The `TOLLBELL_VAR` directory of a running PostgreSQL that all tests of this process share."""
    var = Path(tempfile.mkdtemp(prefix="tollbell-test-"))
    server = EmbeddedPostgres(server_directory(var), options=FAST_AND_LOOSE)
    server.start()
    try:
        yield var
    finally:
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
def database_url(postgres_var: Path, template_database: str) -> Iterator[URL]:
    """A migrated database of the test's own."""
    name = f"test_{next(_numbers)}"
    _administer(postgres_var, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield embedded_url(postgres_var, name)
    _administer(postgres_var, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    """Units of work on a migrated database of the test's own."""
    database = Database.at(database_url, threads=4)
    yield database
    database.close()


def _administer(var: Path, statement: str) -> None:
    engine = create_engine(embedded_url(var, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()

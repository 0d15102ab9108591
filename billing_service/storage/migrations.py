"""Brings the database's schema up to date; the migrations themselves are in `alembic/versions`."""

import time
from pathlib import Path
from typing import Any

import structlog
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from alembic import command
from billing_service.errors import UnableToStart
from billing_service.storage.tables import Base

METADATA_OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "compare_type": True,
    "compare_server_default": True,
}
# Any number, the same for everybody who migrates.
_ADVISORY_LOCK = 0x70115E11

log = structlog.get_logger(__name__)


def configuration() -> Config:
    """Return Alembic's configuration, found wherever the program was started from."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "alembic").replace("%", "%%"))
    return config


def wait_for_database(engine: Engine, *, timeout_s: float) -> None:
    """Return once the database accepts connections; raise UnableToStart when it does not within the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                return
        except OperationalError as error:
            if time.monotonic() > deadline:
                reason = str(error.orig).strip().splitlines()[0]
                raise UnableToStart(f"the database does not answer: {reason}") from error
        time.sleep(0.2)


def migrate(engine: Engine) -> None:
    """Apply the missing migrations, all or none. Safe to run from several programs at once."""
    config = configuration()
    with engine.connect() as connection:
        lock_for_migration(connection)
        before = MigrationContext.configure(connection).get_current_revision()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        after = MigrationContext.configure(connection).get_current_revision()
    log.info("database_migrated" if before != after else "database_up_to_date", revision=after)


def require_current(engine: Engine) -> None:
    """Raise UnableToStart unless the schema is the one that this version of the program was written for."""
    wanted = ScriptDirectory.from_config(configuration()).get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        raise UnableToStart(
            f"the database is at migration {found or 'none'}, this program needs {wanted}: "
            "run python -m billing_service migrate"
        )


def lock_for_migration(connection: Connection) -> None:
    """Wait until no other program migrates; the lock ends with the connection's transaction."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})

"""Brings the database's schema up to date; the migrations themselves are in `alembic/versions`.

Alembic is imported only where it is used: most programs never need it, and it would double their start.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from billing_service.errors import UnableToStart
from billing_service.storage.patience import CONNECT_TIMEOUT_S, patience
from billing_service.storage.tables import Base

if TYPE_CHECKING:
    from alembic.config import Config

# The last migration: the schema that this version of the program was written for.
SCHEMA_REVISION = "0011"

METADATA_OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "compare_type": True,
    "compare_server_default": True,
}
# How long programs wait for a database that is being started beside them.
DATABASE_TIMEOUT_S = 60
# From then on an operator should know what the program waits for.
_SILENT_S = 2.0
# What PostgreSQL says when it is up but will not have us (psycopg2 gives no code for a failed connection).
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", 'role "', 'database "')
# Any number, the same for everybody who migrates.
_ADVISORY_LOCK = 0x70115E11

log = structlog.get_logger(__name__)


def configuration() -> "Config":
    """Return Alembic's configuration, found wherever the program was started from."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "alembic").replace("%", "%%"))
    return config


def wait_for_database(engine: Engine, *, timeout_s: int) -> None:
    """Return once the database accepts connections; say so when that takes a while.

    Raises UnableToStart when it does not within the time, or at once when waiting would not help.
    """
    started = time.monotonic()
    deadline = started + timeout_s
    said_so = False
    while True:
        try:
            # The first attempts are short, so that an address that swallows everything is told soon.
            with (
                patience(silence_s=CONNECT_TIMEOUT_S if said_so else _SILENT_S),
                engine.connect() as connection,
            ):
                connection.execute(text("SELECT 1"))
                return
        except OperationalError as error:
            reason = _first_line(error)
            if any(text in reason for text in _REFUSALS):
                raise UnableToStart(f"the database refuses us: {reason}") from error
            if time.monotonic() > deadline:
                raise UnableToStart(f"{place_of(engine)} does not answer: {reason}") from error
            if not said_so and time.monotonic() - started >= _SILENT_S:
                log.warning("waiting_for_database", database=place_of(engine), for_up_to_s=timeout_s)
                said_so = True
        time.sleep(0.2)


def place_of(engine: Engine) -> str:
    """Tell in words which database this is, without its password."""
    url = engine.url
    host = url.host or url.query.get("host")
    if isinstance(host, str) and host.startswith("/"):
        return f"the database at {host}"
    return f"the database at {host or 'localhost'}:{url.port or url.query.get('port') or 5432}"


def migrate(engine: Engine) -> None:
    """Apply the missing migrations, all or none. Safe to run from several programs at once."""
    from alembic import command

    config = configuration()
    with engine.connect() as connection:
        lock_for_migration(connection)
        before = _revision(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        after = _revision(connection)
    log.info("database_migrated" if before != after else "database_up_to_date", revision=after)


def require_current(engine: Engine) -> None:
    """Raise UnableToStart unless the schema is the one that this version of the program was written for.

    Also, and at once, when the database does not answer.
    """
    try:
        with patience(silence_s=CONNECT_TIMEOUT_S), engine.connect() as connection:
            found = _revision(connection)
    except OperationalError as error:
        reason = _first_line(error)
        if any(text in reason for text in _REFUSALS):
            raise UnableToStart(f"the database refuses us: {reason}") from error
        raise UnableToStart(f"{place_of(engine)} does not answer; start `make run` first") from error
    if found != SCHEMA_REVISION:
        raise UnableToStart(
            f"the database is at migration {found or 'none'}, this program needs {SCHEMA_REVISION}: "
            "run python -m billing_service migrate"
        )


def lock_for_migration(connection: Connection) -> None:
    """Wait until no other program migrates; the lock ends with the connection's transaction."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _revision(connection: Connection) -> str | None:
    with connection.begin_nested() as savepoint:
        try:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except ProgrammingError:  # a database without any tables
            savepoint.rollback()
            return None


def _first_line(error: OperationalError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__

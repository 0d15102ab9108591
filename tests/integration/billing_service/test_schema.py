"""The database's schema: migrations make what the models say, and the database keeps its promises."""

import subprocess
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import DBAPIError

from billing_service.errors import UnableToStart
from billing_service.storage import triggers
from billing_service.storage.embedded_postgres.host import binaries
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import (
    METADATA_OPTIONS,
    SCHEMA_REVISION,
    configuration,
    migrate,
    require_current,
)
from billing_service.storage.tables import Base
from billing_service.storage.unit_of_work import Database


def dump(url: URL) -> list[str]:
    """Return the lines of the schema, sorted: two ways to the same schema order some of them differently."""
    finished = subprocess.run(
        [
            binaries() / "pg_dump",
            "--schema-only",
            "--exclude-table=alembic_version",
            f"--host={url.query['host']}",
            f"--username={url.username}",
            str(url.database),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = (line.strip(" ,") for line in finished.stdout.splitlines())
    return sorted(line for line in wanted if line and not line.startswith(("--", "\\")))


def test_migrations_and_models_agree(database_url: URL) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={k: v for k, v in METADATA_OPTIONS.items() if k != "target_metadata"}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_models_make_the_same_schema_as_migrations(database_url: URL, empty_database_url: URL) -> None:
    engine = make_engine(empty_database_url)
    Base.metadata.create_all(engine)
    engine.dispose()

    from_models, from_migrations = dump(empty_database_url), dump(database_url)

    assert any("CREATE TRIGGER directory" in line for line in from_models)
    assert from_models == from_migrations


def test_migrating_down_leaves_nothing_and_up_again_works(fresh_database_url: URL) -> None:
    before = dump(fresh_database_url)
    engine = make_engine(fresh_database_url)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert not any("CREATE TABLE" in line or "CREATE FUNCTION" in line for line in dump(fresh_database_url))
    migrate(engine)
    engine.dispose()
    assert dump(fresh_database_url) == before


def test_the_program_knows_its_last_migration() -> None:
    assert ScriptDirectory.from_config(configuration()).get_current_head() == SCHEMA_REVISION


def test_migrating_twice_changes_nothing(database_url: URL) -> None:
    before = dump(database_url)
    engine = make_engine(database_url)
    migrate(engine)
    require_current(engine)
    engine.dispose()
    assert dump(database_url) == before


def test_an_unmigrated_database_is_refused_with_the_command_to_run(empty_database_url: URL) -> None:
    engine = make_engine(empty_database_url)
    with pytest.raises(UnableToStart, match="python -m billing_service migrate"):
        require_current(engine)
    engine.dispose()


@pytest.mark.parametrize("table", triggers.APPEND_ONLY_TABLES)
@pytest.mark.parametrize(
    "change", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET {column} = {column}"]
)
def test_history_can_only_be_added_to(database: Database, table: str, change: str) -> None:
    column = next(iter(Base.metadata.tables[table].columns)).name
    statement = change.format(table, column=f'"{column}"')
    if column == "id":
        statement = statement.replace('"id" = "id"', '"id" = DEFAULT')  # an identity allows nothing else
    with pytest.raises(DBAPIError, match="never changed or removed"):
        database.run_blocking(lambda session: session.execute(text(statement)))


def test_every_instant_has_a_time_zone_and_every_amount_is_exact(database_url: URL) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        types = connection.execute(
            text(
                "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public' "
                "AND table_name <> 'alembic_version'"
            )
        ).scalars()
        assert not {"timestamp without time zone", "real", "double precision", "money"} & set(types)
    engine.dispose()


def test_the_migrations_are_found_from_any_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_database_url: URL
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = make_engine(empty_database_url)
    migrate(engine)
    require_current(engine)
    engine.dispose()

"""Runs the migrations on the connection that `billing_service.storage.migrations` hands over."""

from alembic import context

from billing_service.settings import Settings
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import METADATA_OPTIONS, lock_for_migration

connection = context.config.attributes.get("connection")


def run(connection: object) -> None:
    """Run all wanted migrations in one transaction."""
    context.configure(connection=connection, **METADATA_OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Migrations need a database to work on; SQL scripts are not supported.")
if connection is not None:
    run(connection)
else:
    engine = make_engine(Settings.from_environment().database_url)
    with engine.connect() as own_connection:
        lock_for_migration(own_connection)
        run(own_connection)
    engine.dispose()

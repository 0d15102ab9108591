"""Let the database keep history as it is and count the directory's versions.

Revision: 0002, after 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY_TABLES = (
    "plan_versions",
    "tariffs",
    "bill_revisions",
    "ledger_entries",
    "bill_settlements",
    "audit_log",
)

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

NEXT_VERSION = """
CREATE FUNCTION next_directory_version() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  next_version bigint;
BEGIN
  UPDATE directory_clock SET version = version + 1 RETURNING version INTO STRICT next_version;
  PERFORM pg_notify('tollbell_directory', '');
  RETURN next_version;
END
$$
"""

ACCOUNT_CHANGED = """
CREATE FUNCTION note_account_in_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO directory_removals (number, version) VALUES (OLD.number, next_directory_version())
      ON CONFLICT (number) DO UPDATE SET version = EXCLUDED.version;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.number, NEW.state, NEW.display_name, NEW.ha1_md5, NEW.ha1_sha256, NEW.call_limit,
        NEW.outgoing_filter, NEW.incoming_filter, NEW.block_list)
       IS NOT DISTINCT FROM
       (OLD.number, OLD.state, OLD.display_name, OLD.ha1_md5, OLD.ha1_sha256, OLD.call_limit,
        OLD.outgoing_filter, OLD.incoming_filter, OLD.block_list) THEN
      RETURN NEW;
    END IF;
  END IF;
  NEW.directory_version := next_directory_version();
  IF TG_OP = 'UPDATE' AND NEW.number <> OLD.number THEN
    INSERT INTO directory_removals (number, version) VALUES (OLD.number, NEW.directory_version)
      ON CONFLICT (number) DO UPDATE SET version = EXCLUDED.version;
  END IF;
  DELETE FROM directory_removals WHERE number = NEW.number;
  RETURN NEW;
END
$$
"""

ACCOUNT_TRIGGER = """
CREATE TRIGGER directory BEFORE INSERT OR UPDATE OR DELETE ON phone_accounts
FOR EACH ROW EXECUTE FUNCTION note_account_in_directory()
"""

SETTINGS_CHANGED = """
CREATE FUNCTION note_settings_in_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM next_directory_version();
  RETURN NULL;
END
$$
"""

SETTINGS_TRIGGER = """
CREATE TRIGGER directory AFTER UPDATE ON system_settings FOR EACH ROW
WHEN ((NEW.concurrent_call_limit, NEW.emergency_numbers, NEW.ring_time_s)
      IS DISTINCT FROM (OLD.concurrent_call_limit, OLD.emergency_numbers, OLD.ring_time_s))
EXECUTE FUNCTION note_settings_in_directory()
"""


def upgrade() -> None:
    """Apply."""
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY_TABLES:
        op.execute(APPEND_ONLY.format(table=table))
    op.execute(NEXT_VERSION)
    op.execute(ACCOUNT_CHANGED)
    op.execute(ACCOUNT_TRIGGER)
    op.execute(SETTINGS_CHANGED)
    op.execute(SETTINGS_TRIGGER)
    op.execute("INSERT INTO directory_clock DEFAULT VALUES")
    op.execute("INSERT INTO system_settings DEFAULT VALUES")


def downgrade() -> None:
    """Undo."""
    op.execute("DELETE FROM system_settings")
    op.execute("DELETE FROM directory_clock")
    op.execute("DROP TRIGGER directory ON system_settings")
    op.execute("DROP TRIGGER directory ON phone_accounts")
    for table in APPEND_ONLY_TABLES:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    for function in (
        "note_settings_in_directory",
        "note_account_in_directory",
        "next_directory_version",
        "refuse_change",
    ):
        op.execute(f"DROP FUNCTION {function}()")

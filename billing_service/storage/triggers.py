"""What the database itself sees to, whoever writes to it: history stays, and the directory's clock ticks.

Migrations hold their own frozen copies of these statements; a test compares the resulting schemas.
"""

from sqlalchemy import DDL, event

from billing_service.storage.base import Base

# Rows of these tables are only ever added.
APPEND_ONLY_TABLES = (
    "plan_versions",
    "rate_sheets",
    "tariffs",
    "bill_revisions",
    "bill_call_lists",
    "ledger_entries",
    "bill_settlements",
    "audit_log",
)

DIRECTORY_CHANNEL = "tollbell_directory"

_REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""

_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

# Bills don't list their calls, they find them: what is on a bill must stay what it was.
_CALL_FACTS_STAY = """
CREATE TRIGGER facts_stay BEFORE DELETE OR UPDATE OF
  invited_at, record_id, call_id, caller, callee, emergency, ringing_at, answered_at, acknowledged_at,
  ended_at, duration_us, outcome, status, reason, ended_by, received_at, account_id, plan_version_id,
  price_precise, price
ON calls FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""

# The lock of the clock's only row lasts until the transaction ends: versions commit in their order.
_NEXT_VERSION = f"""
CREATE FUNCTION next_directory_version() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  next_version bigint;
BEGIN
  UPDATE directory_clock SET version = version + 1 RETURNING version INTO STRICT next_version;
  PERFORM pg_notify('{DIRECTORY_CHANNEL}', '');
  RETURN next_version;
END
$$
"""

_ACCOUNT_CHANGED = """
CREATE FUNCTION note_account_in_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO directory_removals (number, version) VALUES (OLD.number, next_directory_version())
      ON CONFLICT (number) DO UPDATE SET version = EXCLUDED.version;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.number, NEW.state, NEW.display_name, NEW.ha1_md5, NEW.ha1_sha256, NEW.call_limit,
        NEW.outgoing_filter, NEW.incoming_filter, NEW.block_list, NEW.blocking_permitted)
       IS NOT DISTINCT FROM
       (OLD.number, OLD.state, OLD.display_name, OLD.ha1_md5, OLD.ha1_sha256, OLD.call_limit,
        OLD.outgoing_filter, OLD.incoming_filter, OLD.block_list, OLD.blocking_permitted) THEN
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

# A phone account without SIP password is none of the exchange's business.
_ACCOUNT_TRIGGERS = (
    """
CREATE TRIGGER directory_added BEFORE INSERT ON phone_accounts
FOR EACH ROW WHEN (NEW.ha1_md5 IS NOT NULL) EXECUTE FUNCTION note_account_in_directory()
""",
    """
CREATE TRIGGER directory_changed BEFORE UPDATE OF
  number, state, display_name, ha1_md5, ha1_sha256, call_limit, outgoing_filter, incoming_filter, block_list,
  blocking_permitted
ON phone_accounts FOR EACH ROW WHEN (OLD.ha1_md5 IS NOT NULL OR NEW.ha1_md5 IS NOT NULL)
EXECUTE FUNCTION note_account_in_directory()
""",
    """
CREATE TRIGGER directory_removed BEFORE DELETE ON phone_accounts
FOR EACH ROW WHEN (OLD.ha1_md5 IS NOT NULL) EXECUTE FUNCTION note_account_in_directory()
""",
)

_SETTINGS_CHANGED = """
CREATE FUNCTION note_settings_in_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM next_directory_version();
  RETURN NULL;
END
$$
"""

_SETTINGS_TRIGGER = """
CREATE TRIGGER directory AFTER UPDATE ON system_settings FOR EACH ROW
WHEN ((NEW.concurrent_call_limit, NEW.emergency_numbers, NEW.ring_time_s, NEW.phone_test_interval_s)
      IS DISTINCT FROM
      (OLD.concurrent_call_limit, OLD.emergency_numbers, OLD.ring_time_s, OLD.phone_test_interval_s))
EXECUTE FUNCTION note_settings_in_directory()
"""

_NEXT_ROW_VERSION = """
CREATE FUNCTION next_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  RETURN NEW;
END
$$
"""

_ROW_VERSION = """
CREATE TRIGGER row_version BEFORE UPDATE ON {table} FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION next_row_version()
"""

_ROW_VERSIONS_OF = ("administrators", "billing_plans", "customers", "system_settings")

# Not when a period is closed: that is nothing that two people edit.
_ACCOUNT_ROW_VERSION = """
CREATE TRIGGER row_version BEFORE UPDATE OF
  customer_id, display_name, state, realm, ha1_md5, ha1_sha256, call_limit, outgoing_filter, incoming_filter,
  block_list, billing_day
ON phone_accounts FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION next_row_version()
"""

STATEMENTS = (
    _REFUSE_CHANGE,
    *(_APPEND_ONLY.format(table=table) for table in APPEND_ONLY_TABLES),
    _CALL_FACTS_STAY,
    _NEXT_VERSION,
    _ACCOUNT_CHANGED,
    *_ACCOUNT_TRIGGERS,
    _SETTINGS_CHANGED,
    _SETTINGS_TRIGGER,
    _NEXT_ROW_VERSION,
    *(_ROW_VERSION.format(table=table) for table in _ROW_VERSIONS_OF),
    _ACCOUNT_ROW_VERSION,
)

for statement in STATEMENTS:
    ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(Base.metadata, "after_create", ddl)

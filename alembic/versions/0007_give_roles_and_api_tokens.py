"""Give administrators roles, programs tokens, rows their versions, and the audit log the earlier values.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES_WITH_VERSIONS = ("administrators", "billing_plans", "customers", "phone_accounts", "system_settings")

NEXT_ROW_VERSION = """
CREATE FUNCTION next_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  RETURN NEW;
END
$$
"""

ROW_VERSION = """
CREATE TRIGGER row_version BEFORE UPDATE ON {table} FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION next_row_version()
"""

ACCOUNT_ROW_VERSION = """
CREATE TRIGGER row_version BEFORE UPDATE OF
  customer_id, display_name, state, realm, ha1_md5, ha1_sha256, call_limit, outgoing_filter, incoming_filter,
  block_list, billing_day
ON phone_accounts FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION next_row_version()
"""

OLD_SETTINGS_TRIGGER = """
CREATE TRIGGER directory AFTER UPDATE ON system_settings FOR EACH ROW
WHEN ((NEW.concurrent_call_limit, NEW.emergency_numbers, NEW.ring_time_s)
      IS DISTINCT FROM (OLD.concurrent_call_limit, OLD.emergency_numbers, OLD.ring_time_s))
EXECUTE FUNCTION note_settings_in_directory()
"""

SETTINGS_TRIGGER = """
CREATE TRIGGER directory AFTER UPDATE ON system_settings FOR EACH ROW
WHEN ((NEW.concurrent_call_limit, NEW.emergency_numbers, NEW.ring_time_s, NEW.phone_test_interval_s)
      IS DISTINCT FROM
      (OLD.concurrent_call_limit, OLD.emergency_numbers, OLD.ring_time_s, OLD.phone_test_interval_s))
EXECUTE FUNCTION note_settings_in_directory()
"""


def upgrade() -> None:
    """Apply."""
    op.drop_constraint(op.f("ck_administrators_role_known"), "administrators")
    op.create_check_constraint(
        op.f("ck_administrators_role_known"),
        "administrators",
        "role IN ('viewer', 'operator', 'administrator')",
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("name <> ''", name=op.f("ck_api_tokens_name_given")),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_api_tokens_digest_is_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_index(
        "uq_api_tokens_name_lower",
        "api_tokens",
        [sa.func.lower(sa.text("name"))],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.add_column(
        "audit_log",
        sa.Column(
            "previous",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column(
        "system_settings",
        sa.Column("phone_test_interval_s", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_system_settings_phone_test_interval_sensible"),
        "system_settings",
        "phone_test_interval_s BETWEEN 0 AND 86400",
    )
    op.execute("DROP TRIGGER directory ON system_settings")
    op.execute(SETTINGS_TRIGGER)
    op.execute(NEXT_ROW_VERSION)
    for table in TABLES_WITH_VERSIONS:
        op.add_column(
            table, sa.Column("row_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False)
        )
        op.execute(ACCOUNT_ROW_VERSION if table == "phone_accounts" else ROW_VERSION.format(table=table))


def downgrade() -> None:
    """Undo. Viewers and operators may sign in no more: nobody gains a right."""
    for table in TABLES_WITH_VERSIONS:
        op.execute(f"DROP TRIGGER row_version ON {table}")
        op.drop_column(table, "row_version")
    op.execute("DROP FUNCTION next_row_version()")
    op.execute("DROP TRIGGER directory ON system_settings")
    op.execute(OLD_SETTINGS_TRIGGER)
    op.drop_column("system_settings", "phone_test_interval_s")
    op.drop_column("audit_log", "previous")
    op.drop_table("api_tokens")
    op.execute(
        "UPDATE administrators SET role = 'administrator', active = false WHERE role <> 'administrator'"
    )
    op.drop_constraint(op.f("ck_administrators_role_known"), "administrators")
    op.create_check_constraint(
        op.f("ck_administrators_role_known"), "administrators", "role IN ('administrator')"
    )

"""Let plans include minutes and permit call blocking, and share long rate sheets between versions.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rate_sheets
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

# The former text of the function, and the present one: the latter also looks at blocking_permitted.
ACCOUNT_CHANGED = """
CREATE OR REPLACE FUNCTION note_account_in_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO directory_removals (number, version) VALUES (OLD.number, next_directory_version())
      ON CONFLICT (number) DO UPDATE SET version = EXCLUDED.version;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.number, NEW.state, NEW.display_name, NEW.ha1_md5, NEW.ha1_sha256, NEW.call_limit,
        NEW.outgoing_filter, NEW.incoming_filter, NEW.block_list{new})
       IS NOT DISTINCT FROM
       (OLD.number, OLD.state, OLD.display_name, OLD.ha1_md5, OLD.ha1_sha256, OLD.call_limit,
        OLD.outgoing_filter, OLD.incoming_filter, OLD.block_list{old}) THEN
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

KEPT = ("plan_versions", "tariffs")


def upgrade() -> None:
    """Apply."""
    for table in KEPT:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    op.create_table(
        "rate_sheets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tariff_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("tariff_count >= 0", name=op.f("ck_rate_sheets_tariff_count_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_sheets")),
    )
    _give_every_version_a_sheet()
    op.add_column("tariffs", sa.Column("description", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "plan_versions",
        sa.Column("included_minutes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "plan_versions",
        sa.Column(
            "included_prefixes",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
    )
    op.create_check_constraint(
        op.f("ck_plan_versions_included_minutes_in_range"),
        "plan_versions",
        "included_minutes BETWEEN 0 AND 1000000",
    )
    op.add_column(
        "plan_versions",
        sa.Column("permits_blocking", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.add_column(
        "phone_accounts",
        sa.Column("blocking_permitted", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.create_index("ix_account_plan_history_valid_from", "account_plan_history", ["valid_from"])
    op.execute(ACCOUNT_CHANGED.format(new=", NEW.blocking_permitted", old=", OLD.blocking_permitted"))
    op.execute(APPEND_ONLY)
    for table in KEPT:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")


def _give_every_version_a_sheet() -> None:
    """So far each version had its own tariffs; its sheet gets its identifier."""
    op.add_column("plan_versions", sa.Column("rate_sheet_id", sa.BigInteger()))
    op.add_column("tariffs", sa.Column("rate_sheet_id", sa.BigInteger()))
    op.execute(
        "INSERT INTO rate_sheets (id, tariff_count, created_at) OVERRIDING SYSTEM VALUE "
        "SELECT version.id, count(tariff.id), version.created_at FROM plan_versions version "
        "LEFT JOIN tariffs tariff ON tariff.plan_version_id = version.id GROUP BY version.id"
    )
    op.execute(
        "SELECT setval(pg_get_serial_sequence('rate_sheets', 'id'), "
        "(SELECT coalesce(max(id), 0) + 1 FROM rate_sheets), false)"
    )
    op.execute("UPDATE plan_versions SET rate_sheet_id = id")
    op.execute("UPDATE tariffs SET rate_sheet_id = plan_version_id")
    op.drop_column("tariffs", "plan_version_id")
    for table in KEPT:
        op.alter_column(table, "rate_sheet_id", nullable=False)
        op.create_foreign_key(
            op.f(f"fk_{table}_rate_sheet_id"), table, "rate_sheets", ["rate_sheet_id"], ["id"]
        )
    op.create_index(
        "ix_tariffs_rate_sheet_id_destination_prefix",
        "tariffs",
        ["rate_sheet_id", "destination_prefix", "source_prefix", "id"],
    )


def downgrade() -> None:
    """Undo."""
    for table in KEPT:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    op.execute("DROP TRIGGER append_only ON rate_sheets")
    op.execute(ACCOUNT_CHANGED.format(new="", old=""))
    op.drop_index("ix_account_plan_history_valid_from", "account_plan_history")
    op.drop_column("phone_accounts", "blocking_permitted")
    op.drop_column("plan_versions", "permits_blocking")
    op.drop_constraint(op.f("ck_plan_versions_included_minutes_in_range"), "plan_versions", type_="check")
    op.drop_column("plan_versions", "included_prefixes")
    op.drop_column("plan_versions", "included_minutes")
    op.drop_column("tariffs", "description")
    _give_every_version_its_tariffs()
    op.drop_table("rate_sheets")
    for table in KEPT:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")


def _give_every_version_its_tariffs() -> None:
    op.add_column("tariffs", sa.Column("plan_version_id", sa.BigInteger()))
    op.execute(
        "INSERT INTO tariffs (plan_version_id, rate_sheet_id, source_prefix, destination_prefix, valid_from, "
        "valid_to, price) SELECT version.id, tariff.rate_sheet_id, source_prefix, destination_prefix, "
        "valid_from, valid_to, price FROM plan_versions version "
        "JOIN tariffs tariff ON tariff.rate_sheet_id = version.rate_sheet_id ORDER BY version.id, tariff.id"
    )
    op.execute("DELETE FROM tariffs WHERE plan_version_id IS NULL")
    op.drop_index("ix_tariffs_rate_sheet_id_destination_prefix", "tariffs")
    for table in KEPT:
        op.drop_constraint(op.f(f"fk_{table}_rate_sheet_id"), table, type_="foreignkey")
        op.drop_column(table, "rate_sheet_id")
    op.alter_column("tariffs", "plan_version_id", nullable=False)
    op.create_foreign_key(
        op.f("fk_tariffs_plan_version_id"), "tariffs", "plan_versions", ["plan_version_id"], ["id"]
    )
    op.create_index(
        "ix_tariffs_plan_version_id_destination_prefix",
        "tariffs",
        ["plan_version_id", "destination_prefix"],
    )

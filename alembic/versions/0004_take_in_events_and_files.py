"""Take in call events and files of calls, let rejected records be released, and keep unassigned numbers.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)

ENDED_BY = "ended_by IN ('caller', 'callee', 'exchange')"
ENDED_BY_OR_UNKNOWN = "ended_by IN ('caller', 'callee', 'exchange', 'unknown')"

# A phone account without SIP password is none of the exchange's business.
DIRECTORY_TRIGGERS = (
    """
CREATE TRIGGER directory_added BEFORE INSERT ON phone_accounts
FOR EACH ROW WHEN (NEW.ha1_md5 IS NOT NULL) EXECUTE FUNCTION note_account_in_directory()
""",
    """
CREATE TRIGGER directory_changed BEFORE UPDATE ON phone_accounts
FOR EACH ROW WHEN (OLD.ha1_md5 IS NOT NULL OR NEW.ha1_md5 IS NOT NULL)
EXECUTE FUNCTION note_account_in_directory()
""",
    """
CREATE TRIGGER directory_removed BEFORE DELETE ON phone_accounts
FOR EACH ROW WHEN (OLD.ha1_md5 IS NOT NULL) EXECUTE FUNCTION note_account_in_directory()
""",
)
FORMER_DIRECTORY_TRIGGER = """
CREATE TRIGGER directory BEFORE INSERT OR UPDATE OR DELETE ON phone_accounts
FOR EACH ROW EXECUTE FUNCTION note_account_in_directory()
"""
# Passwords that nobody knows.
DRAW_PASSWORDS = """
UPDATE phone_accounts SET ha1_md5 = md5(gen_random_uuid()::text),
  ha1_sha256 = encode(sha256(gen_random_uuid()::text::bytea), 'hex')
WHERE ha1_md5 IS NULL
"""


def upgrade() -> None:
    """Apply."""
    op.drop_constraint(op.f("ck_calls_ended_by_known"), "calls", type_="check")
    op.create_check_constraint(op.f("ck_calls_ended_by_known"), "calls", ENDED_BY_OR_UNKNOWN)
    _keep_unassigned_numbers()
    _let_rejected_records_be_released()
    _take_in_events()
    _take_in_files()


def _keep_unassigned_numbers() -> None:
    op.add_column("customers", sa.Column("built_in", sa.Text()))
    op.create_unique_constraint(op.f("uq_customers_built_in"), "customers", ["built_in"])
    op.create_check_constraint(op.f("ck_customers_built_in_known"), "customers", "built_in IN ('unassigned')")
    op.add_column("system_settings", sa.Column("default_plan_id", sa.BigInteger()))
    op.create_foreign_key(
        op.f("fk_system_settings_default_plan_id"),
        "system_settings",
        "billing_plans",
        ["default_plan_id"],
        ["id"],
    )
    op.add_column(
        "phone_accounts",
        sa.Column("closes_on_request", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    for column in ("ha1_md5", "ha1_sha256"):
        op.alter_column("phone_accounts", column, nullable=True)
    op.create_check_constraint(
        op.f("ck_phone_accounts_password_whole"),
        "phone_accounts",
        "(ha1_md5 IS NULL) = (ha1_sha256 IS NULL)",
    )
    op.execute("DROP TRIGGER directory ON phone_accounts")
    for trigger in DIRECTORY_TRIGGERS:
        op.execute(trigger)


def _let_rejected_records_be_released() -> None:
    table = "rejected_call_records"
    op.add_column(table, sa.Column("kind", sa.Text(), server_default="call_record", nullable=False))
    op.add_column(table, sa.Column("state", sa.Text(), server_default="pending", nullable=False))
    op.add_column(table, sa.Column("resolved_at", INSTANT))
    op.add_column(table, sa.Column("resolved_by", sa.Text(), server_default="", nullable=False))
    op.add_column(table, sa.Column("resolution", sa.Text(), server_default="", nullable=False))
    op.add_column(table, sa.Column("released_as", sa.Text()))
    for name, condition in (
        ("kind_known", "kind IN ('call_record', 'call_event')"),
        ("state_known", "state IN ('pending', 'released', 'dismissed')"),
        ("resolved_has_instant", "(state = 'pending') = (resolved_at IS NULL)"),
    ):
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    op.create_index(
        "ix_rejected_call_records_pending", table, ["id"], postgresql_where=sa.text("state = 'pending'")
    )


def _take_in_events() -> None:
    op.create_table(
        "call_event_pairs",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("start_event_id", sa.Text()),
        sa.Column("started_at", INSTANT),
        sa.Column("source", sa.Text()),
        sa.Column("destination", sa.Text()),
        sa.Column("end_event_id", sa.Text()),
        sa.Column("ended_at", INSTANT),
        sa.Column("end_source", sa.Text()),
        sa.Column("record_id", sa.Text()),
        sa.CheckConstraint(
            "(start_event_id IS NULL) = (started_at IS NULL)"
            " AND (started_at IS NULL) = (source IS NULL) AND (source IS NULL) = (destination IS NULL)",
            name=op.f("ck_call_event_pairs_start_whole"),
        ),
        sa.CheckConstraint(
            "(end_event_id IS NULL) = (ended_at IS NULL)", name=op.f("ck_call_event_pairs_end_whole")
        ),
        sa.CheckConstraint(
            "record_id IS NULL OR (started_at IS NOT NULL AND ended_at IS NOT NULL)",
            name=op.f("ck_call_event_pairs_record_of_both"),
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_event_pairs")),
    )
    op.create_index(
        "ix_call_event_pairs_unpaired",
        "call_event_pairs",
        ["received_at", "call_id"],
        postgresql_where=sa.text("record_id IS NULL"),
    )


def _take_in_files() -> None:
    def count(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)

    op.create_table(
        "call_imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("uploaded", sa.Boolean(), nullable=False),
        sa.Column("format", sa.Text()),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        count("size_bytes"),
        count("read_bytes"),
        count("lines"),
        count("stored"),
        count("already_had"),
        count("rejected"),
        count("unassigned"),
        count("unrated"),
        sa.Column("total_price", sa.Numeric(18, 6), server_default=sa.text("0"), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.CheckConstraint(
            "state IN ('running', 'finished', 'failed')", name=op.f("ck_call_imports_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (finished_at IS NULL)", name=op.f("ck_call_imports_finished_has_instant")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_imports")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("call_imports")
    op.drop_table("call_event_pairs")
    table = "rejected_call_records"
    op.drop_index("ix_rejected_call_records_pending", table)
    for name in ("kind_known", "state_known", "resolved_has_instant"):
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    for column in ("kind", "state", "resolved_at", "resolved_by", "resolution", "released_as"):
        op.drop_column(table, column)
    for trigger in ("directory_added", "directory_changed", "directory_removed"):
        op.execute(f"DROP TRIGGER {trigger} ON phone_accounts")
    op.execute(DRAW_PASSWORDS)
    op.execute(FORMER_DIRECTORY_TRIGGER)
    op.drop_constraint(op.f("ck_phone_accounts_password_whole"), "phone_accounts", type_="check")
    for column in ("ha1_md5", "ha1_sha256"):
        op.alter_column("phone_accounts", column, nullable=False)
    op.drop_column("phone_accounts", "closes_on_request")
    op.drop_column("system_settings", "default_plan_id")
    op.drop_column("customers", "built_in")
    op.drop_constraint(op.f("ck_calls_ended_by_known"), "calls", type_="check")
    op.execute("UPDATE calls SET ended_by = 'exchange' WHERE ended_by = 'unknown'")
    op.create_check_constraint(op.f("ck_calls_ended_by_known"), "calls", ENDED_BY)

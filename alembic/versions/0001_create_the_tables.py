"""Create the tables.

Revision: 0001, the first
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "administrators",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="administrator", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "login = lower(login) AND login <> ''", name=op.f("ck_administrators_login_is_lower_case")
        ),
        sa.CheckConstraint("role IN ('administrator')", name=op.f("ck_administrators_role_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_administrators")),
        sa.UniqueConstraint("login", name=op.f("uq_administrators_login")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "changes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(
        "ix_audit_log_subject_kind_subject", "audit_log", ["subject_kind", "subject"], unique=False
    )
    op.create_table(
        "bill_number_counters",
        sa.Column("year", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_bill_number_counters")),
    )
    op.create_table(
        "billing_plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_billing_plans_name_given")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_plans")),
    )
    op.create_index(
        "uq_billing_plans_name_lower", "billing_plans", [sa.literal_column("lower(name)")], unique=True
    )
    op.create_table(
        "call_record_receipts",
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_call_record_receipts")),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("alternative_number", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_customers_name_given")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
    )
    op.create_table(
        "directory_clock",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "version",
            sa.BigInteger(),
            server_default=sa.text("EXTRACT(epoch FROM now())::bigint"),
            nullable=False,
        ),
        sa.Column(
            "first_version",
            sa.BigInteger(),
            server_default=sa.text("EXTRACT(epoch FROM now())::bigint"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_directory_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_clock")),
    )
    op.create_table(
        "directory_removals",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_directory_removals")),
    )
    op.create_index("ix_directory_removals_version", "directory_removals", ["version"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "rejected_call_records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_call_records")),
        sa.UniqueConstraint("digest", name=op.f("uq_rejected_call_records_digest")),
    )
    op.create_table(
        "system_settings",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("concurrent_call_limit", sa.BigInteger(), nullable=True),
        sa.Column(
            "emergency_numbers",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{9911,4911}'::text[]"),
            nullable=False,
        ),
        sa.Column("ring_time_s", sa.BigInteger(), server_default=sa.text("60"), nullable=False),
        sa.Column("unpaid_bill_limit", sa.BigInteger(), server_default=sa.text("3"), nullable=False),
        sa.Column("payment_term_days", sa.BigInteger(), server_default=sa.text("14"), nullable=False),
        sa.CheckConstraint(
            "concurrent_call_limit >= 0", name=op.f("ck_system_settings_concurrent_call_limit_not_negative")
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_system_settings_one_row")),
        sa.CheckConstraint(
            "payment_term_days BETWEEN 0 AND 365", name=op.f("ck_system_settings_payment_term_sensible")
        ),
        sa.CheckConstraint(
            "ring_time_s BETWEEN 5 AND 600", name=op.f("ck_system_settings_ring_time_sensible")
        ),
        sa.CheckConstraint(
            "unpaid_bill_limit >= 1", name=op.f("ck_system_settings_unpaid_bill_limit_positive")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_system_settings")),
    )
    op.create_table(
        "phone_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("realm", sa.Text(), nullable=False),
        sa.Column("ha1_md5", sa.Text(), nullable=False),
        sa.Column("ha1_sha256", sa.Text(), nullable=False),
        sa.Column("call_limit", sa.BigInteger(), nullable=True),
        sa.Column(
            "outgoing_filter",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "incoming_filter",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "block_list", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
        ),
        sa.Column("billing_day", sa.SmallInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("directory_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_phone_accounts_closed_has_instant")
        ),
        sa.CheckConstraint("ha1_md5 ~ '^[0-9a-f]{32}$'", name=op.f("ck_phone_accounts_ha1_md5_is_hex")),
        sa.CheckConstraint("ha1_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_phone_accounts_ha1_sha256_is_hex")),
        sa.CheckConstraint("number ~ '^[0-9]{1,15}$'", name=op.f("ck_phone_accounts_number_is_digits")),
        sa.CheckConstraint(
            "state IN ('active', 'suspended', 'closed', 'out_of_service')",
            name=op.f("ck_phone_accounts_state_known"),
        ),
        sa.CheckConstraint(
            "billing_day BETWEEN 1 AND 31", name=op.f("ck_phone_accounts_billing_day_in_month")
        ),
        sa.CheckConstraint("call_limit >= 0", name=op.f("ck_phone_accounts_call_limit_not_negative")),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_phone_accounts_period_not_empty")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_phone_accounts_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phone_accounts")),
        sa.UniqueConstraint("number", name=op.f("uq_phone_accounts_number")),
    )
    op.create_index("ix_phone_accounts_customer_id", "phone_accounts", ["customer_id"], unique=False)
    op.create_index(
        "ix_phone_accounts_directory_version", "phone_accounts", ["directory_version"], unique=False
    )
    op.create_index(
        "ix_phone_accounts_period_end",
        "phone_accounts",
        ["period_end"],
        unique=False,
        postgresql_where=sa.text("period_end IS NOT NULL"),
    )
    op.create_table(
        "plan_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("monthly_fee", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("base_price", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("monthly_fee >= 0", name=op.f("ck_plan_versions_monthly_fee_not_negative")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_plan_versions_version_positive")),
        sa.ForeignKeyConstraint(["plan_id"], ["billing_plans.id"], name=op.f("fk_plan_versions_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_versions")),
        sa.UniqueConstraint("plan_id", "version", name=op.f("uq_plan_versions_plan_id_version")),
    )
    op.create_table(
        "account_plan_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_version_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(account_id, account_id, '[]'::text)"), "&&"),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_account_plan_history_no_overlap",
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_account_plan_history_not_empty")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["phone_accounts.id"], name=op.f("fk_account_plan_history_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["plan_versions.id"], name=op.f("fk_account_plan_history_plan_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_plan_history")),
    )
    op.create_index(
        "ix_account_plan_history_account_id_valid_from",
        "account_plan_history",
        ["account_id", "valid_from"],
        unique=False,
    )
    op.create_index(
        "ix_account_plan_history_plan_version_id", "account_plan_history", ["plan_version_id"], unique=False
    )
    op.create_table(
        "account_state_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(account_id, account_id, '[]'::text)"), "&&"),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_account_state_history_no_overlap",
        ),
        sa.CheckConstraint(
            "state IN ('active', 'suspended', 'closed', 'out_of_service')",
            name=op.f("ck_account_state_history_state_known"),
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_account_state_history_not_empty")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["phone_accounts.id"], name=op.f("fk_account_state_history_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_state_history")),
    )
    op.create_index(
        "ix_account_state_history_account_id_valid_from",
        "account_state_history",
        ["account_id", "valid_from"],
        unique=False,
    )
    op.create_table(
        "bills",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="closed", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('closed', 'paid', 'void')", name=op.f("ck_bills_state_known")),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_bills_period_not_empty")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_bills_revision_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["phone_accounts.id"], name=op.f("fk_bills_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_bills_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bills")),
        sa.UniqueConstraint("account_id", "period_start", name=op.f("uq_bills_account_id_period_start")),
        sa.UniqueConstraint("number", name=op.f("uq_bills_number")),
    )
    op.create_index("ix_bills_closed_at_id", "bills", ["closed_at", "id"], unique=False)
    op.create_index("ix_bills_customer_id", "bills", ["customer_id"], unique=False)
    op.create_index(
        "ix_bills_unpaid", "bills", ["account_id"], unique=False, postgresql_where=sa.text("state = 'closed'")
    )
    op.create_table(
        "tariffs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plan_version_id", sa.BigInteger(), nullable=False),
        sa.Column("source_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("destination_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("price", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "destination_prefix ~ '^[0-9]{0,15}$'", name=op.f("ck_tariffs_destination_prefix_is_digits")
        ),
        sa.CheckConstraint(
            "source_prefix ~ '^[0-9]{0,15}$'", name=op.f("ck_tariffs_source_prefix_is_digits")
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_tariffs_validity_not_empty")),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["plan_versions.id"], name=op.f("fk_tariffs_plan_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
    )
    op.create_index(
        "ix_tariffs_plan_version_id_destination_prefix",
        "tariffs",
        ["plan_version_id", "destination_prefix"],
        unique=False,
    )
    op.create_table(
        "bill_revisions",
        sa.Column("bill_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_bill_revisions_bill_id")),
        sa.PrimaryKeyConstraint("bill_id", "revision", name=op.f("pk_bill_revisions")),
    )
    op.create_table(
        "calls",
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("callee", sa.Text(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("ringing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_version_id", sa.BigInteger(), nullable=True),
        sa.Column("price_precise", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("bill_id", sa.BigInteger(), nullable=True),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'answered') = (answered_at IS NOT NULL)", name=op.f("ck_calls_answered_has_instant")
        ),
        sa.CheckConstraint(
            "ended_by IN ('caller', 'callee', 'exchange')", name=op.f("ck_calls_ended_by_known")
        ),
        sa.CheckConstraint(
            "outcome IN ('answered', 'cancelled', 'busy', 'no_answer', 'rejected', 'failed')",
            name=op.f("ck_calls_outcome_known"),
        ),
        sa.CheckConstraint("(price IS NULL) = (price_precise IS NULL)", name=op.f("ck_calls_price_whole")),
        sa.CheckConstraint("duration_us >= 0", name=op.f("ck_calls_duration_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["phone_accounts.id"], name=op.f("fk_calls_account_id")),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_calls_bill_id")),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["plan_versions.id"], name=op.f("fk_calls_plan_version_id")
        ),
        sa.PrimaryKeyConstraint("invited_at", "record_id", name=op.f("pk_calls")),
    )
    op.create_index(
        "ix_calls_bill_id",
        "calls",
        ["bill_id"],
        unique=False,
        postgresql_where=sa.text("bill_id IS NOT NULL"),
    )
    op.create_index("ix_calls_callee_invited_at", "calls", ["callee", "invited_at"], unique=False)
    op.create_index("ix_calls_caller_invited_at", "calls", ["caller", "invited_at"], unique=False)
    op.create_index("ix_calls_record_id", "calls", ["record_id"], unique=False)
    op.create_index(
        "ix_calls_unbilled",
        "calls",
        ["account_id", "ended_at"],
        unique=False,
        postgresql_where=sa.text("bill_id IS NULL AND price IS NOT NULL AND account_id IS NOT NULL"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("bill_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('payment', 'credit') THEN amount >= 0 ELSE amount <= 0 END",
            name=op.f("ck_ledger_entries_sign_of_kind"),
        ),
        sa.CheckConstraint(
            "kind IN ('charge', 'payment', 'credit', 'refund')", name=op.f("ck_ledger_entries_kind_known")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["phone_accounts.id"], name=op.f("fk_ledger_entries_account_id")
        ),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_ledger_entries_bill_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
    )
    op.create_index("ix_ledger_entries_account_id_id", "ledger_entries", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_ledger_entries_bill_id",
        "ledger_entries",
        ["bill_id"],
        unique=False,
        postgresql_where=sa.text("bill_id IS NOT NULL"),
    )
    op.create_table(
        "bill_settlements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("bill_id", sa.BigInteger(), nullable=False),
        sa.Column("ledger_entry_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_bill_settlements_amount_positive")),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_bill_settlements_bill_id")),
        sa.ForeignKeyConstraint(
            ["ledger_entry_id"], ["ledger_entries.id"], name=op.f("fk_bill_settlements_ledger_entry_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_settlements")),
    )
    op.create_index("ix_bill_settlements_bill_id", "bill_settlements", ["bill_id"], unique=False)
    op.create_index(
        "ix_bill_settlements_ledger_entry_id", "bill_settlements", ["ledger_entry_id"], unique=False
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("bill_settlements")
    op.drop_table("ledger_entries")
    op.drop_table("calls")
    op.drop_table("bill_revisions")
    op.drop_table("tariffs")
    op.drop_table("bills")
    op.drop_table("account_state_history")
    op.drop_table("account_plan_history")
    op.drop_table("plan_versions")
    op.drop_table("phone_accounts")
    op.drop_table("system_settings")
    op.drop_table("rejected_call_records")
    op.drop_table("idempotency_keys")
    op.drop_table("directory_removals")
    op.drop_table("directory_clock")
    op.drop_table("customers")
    op.drop_table("call_record_receipts")
    op.drop_table("billing_plans")
    op.drop_table("bill_number_counters")
    op.drop_table("audit_log")
    op.drop_table("administrators")

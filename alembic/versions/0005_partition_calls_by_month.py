"""Partition calls by month and keep the progress of closing.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (
    "ix_calls_caller_invited_at ON calls (caller, invited_at)",
    "ix_calls_callee_invited_at ON calls (callee, invited_at)",
    "ix_calls_unbilled ON calls (account_id, ended_at)"
    " WHERE bill_id IS NULL AND price IS NOT NULL AND account_id IS NOT NULL",
    "ix_calls_bill_id ON calls (bill_id) WHERE bill_id IS NOT NULL",
)
FOREIGN_KEYS = (("account_id", "phone_accounts"), ("plan_version_id", "plan_versions"))
# As storage/call_partitions.py: a partition a month from 2020 on, before that one a year.
MAKE_PARTITIONS = """
DO $$
DECLARE
  part record;
BEGIN
  FOR part IN
    SELECT DISTINCT CASE WHEN m < '2020-01-01' THEN 'calls_' || to_char(m, 'YYYY')
                         ELSE 'calls_' || to_char(m, 'YYYY_MM') END AS name,
           CASE WHEN m < '2020-01-01' THEN date_trunc('year', m) ELSE m END AS first,
           CASE WHEN m < '2020-01-01' THEN date_trunc('year', m) + interval '1 year'
                ELSE m + interval '1 month' END AS beyond
    FROM (SELECT DISTINCT date_trunc('month', invited_at AT TIME ZONE 'UTC') AS m FROM calls_before) AS months
  LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF calls FOR VALUES FROM (%L) TO (%L)', part.name,
                   part.first::text || '+00', part.beyond::text || '+00');
  END LOOP;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    _remake("PARTITION BY RANGE (invited_at)")
    op.create_table(
        "closing_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("progress_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("suspended", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closing_runs")),
    )
    op.create_table(
        "closing_failures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["phone_accounts.id"], name=op.f("fk_closing_failures_account_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["closing_runs.id"], name=op.f("fk_closing_failures_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closing_failures")),
    )
    op.create_index("ix_closing_failures_run_id", "closing_failures", ["run_id"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("closing_failures")
    op.drop_table("closing_runs")
    _remake("")
    op.execute("CREATE INDEX ix_calls_record_id ON calls (record_id)")
    op.execute(
        "ALTER TABLE calls ADD CONSTRAINT fk_calls_bill_id FOREIGN KEY (bill_id) REFERENCES bills (id)"
    )


def _remake(partitioning: str) -> None:
    """Make the table again with the columns and checks it has, and move its rows over."""
    op.execute("ALTER TABLE calls RENAME TO calls_before")
    op.execute("ALTER TABLE calls_before RENAME CONSTRAINT pk_calls TO pk_calls_before")
    for index in ("ix_calls_record_id", *(definition.split()[0] for definition in INDEXES)):
        op.execute(f"DROP INDEX IF EXISTS {index}")
    op.execute(
        f"CREATE TABLE calls (LIKE calls_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {partitioning}"
    )
    op.execute("ALTER TABLE calls ADD CONSTRAINT pk_calls PRIMARY KEY (invited_at, record_id)")
    if partitioning:
        op.execute(MAKE_PARTITIONS)
    op.execute("INSERT INTO calls SELECT * FROM calls_before")
    op.execute("DROP TABLE calls_before")
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for column, table in FOREIGN_KEYS:
        op.execute(
            f"ALTER TABLE calls ADD CONSTRAINT fk_calls_{column}"
            f" FOREIGN KEY ({column}) REFERENCES {table} (id)"
        )

"""Find the calls of a bill by an instant that they get on arrival, so that closing touches no call.

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FACTS = (
    "invited_at, record_id, call_id, caller, callee, emergency, ringing_at, answered_at, acknowledged_at,"
    " ended_at, duration_us, outcome, status, reason, ended_by, received_at, account_id, plan_version_id,"
    " price_precise, price"
)
# Calls on a bill are in its period; those that wait for one are in the account's open period.
SET_INSTANTS = """
UPDATE calls SET billable_at = greatest(calls.ended_at,
  coalesce((SELECT period_start FROM bills WHERE bills.id = calls.bill_id), phone_accounts.period_start))
FROM phone_accounts
WHERE phone_accounts.id = calls.account_id AND calls.price IS NOT NULL AND calls.outcome = 'answered'
  AND NOT calls.emergency
"""
# A void bill has its calls until it is replaced.
SET_BILLS = """
UPDATE calls SET bill_id = holder.id, late = calls.ended_at < calls.billable_at
FROM (SELECT DISTINCT ON (account_id, period_start) id, account_id, period_start, period_end FROM bills
      ORDER BY account_id, period_start, state = 'void', id DESC) AS holder
WHERE holder.account_id = calls.account_id AND calls.billable_at >= holder.period_start
  AND calls.billable_at < holder.period_end
"""
# The lists of the documents, written by PostgreSQL as the program wrote them.
LIST_CALLS = """
UPDATE bill_revisions SET document = document - 'inclusions' || jsonb_build_object('calls', coalesce(
  (SELECT kept.calls FROM bill_call_lists AS kept
   WHERE kept.bill_id = bill_revisions.bill_id AND kept.revision = bill_revisions.revision),
  (SELECT jsonb_agg(jsonb_build_object(
     'record_id', c.record_id, 'callee', c.callee,
     'answered_at', to_char(c.answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
     'duration_us', c.duration_us, 'price_precise', c.price_precise::text,
     'price', round(c.price, places.digits)::text, 'late', c.ended_at < c.billable_at,
     'included_s', coalesce((document -> 'inclusions' -> c.record_id ->> 'included_s')::bigint, 0),
     'included', coalesce(document -> 'inclusions' -> c.record_id ->> 'included',
                          round(0::numeric, places.digits)::text),
     'plan_version_id', c.plan_version_id) ORDER BY c.ended_at, c.record_id)
   FROM calls c JOIN bills b ON b.account_id = c.account_id AND c.billable_at >= b.period_start
     AND c.billable_at < b.period_end
   CROSS JOIN LATERAL (SELECT CASE
     WHEN b.currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI',
                         'VND', 'VUV', 'XAF', 'XOF', 'XPF') THEN 0
     WHEN b.currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
     WHEN b.currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END AS digits) AS places
   WHERE b.id = bill_revisions.bill_id),
  '[]'::jsonb))
WHERE NOT document ? 'calls'
"""


DIRECTORY_COLUMNS = (
    "number, state, display_name, ha1_md5, ha1_sha256, call_limit, outgoing_filter, incoming_filter,"
    " block_list, blocking_permitted"
)
NOTE_IN_DIRECTORY = """
CREATE TRIGGER directory_changed BEFORE UPDATE {of}ON phone_accounts
FOR EACH ROW WHEN (OLD.ha1_md5 IS NOT NULL OR NEW.ha1_md5 IS NOT NULL)
EXECUTE FUNCTION note_account_in_directory()
"""


def upgrade() -> None:
    """Apply. Documents stay as they are: those frozen until now list their calls themselves."""
    _index_ends_of_periods("ix_phone_accounts_period_end", "ix_phone_accounts_period_end_id", "id")
    # Not when a period is closed: the exchange doesn't know of periods.
    _note_in_directory(f"OF {DIRECTORY_COLUMNS} ")
    op.add_column("calls", sa.Column("billable_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(SET_INSTANTS)
    op.drop_index("ix_calls_unbilled", table_name="calls")
    op.drop_index("ix_calls_bill_id", table_name="calls")
    op.drop_column("calls", "bill_id")
    op.drop_column("calls", "late")
    op.create_index(
        "ix_calls_account_id_billable_at",
        "calls",
        ["account_id", "billable_at"],
        postgresql_include=["ended_at", "price_precise", "price"],
        postgresql_where=sa.text("billable_at IS NOT NULL"),
    )
    op.create_check_constraint(
        op.f("ck_calls_billable_whole"),
        "calls",
        "billable_at IS NULL OR (account_id IS NOT NULL AND price IS NOT NULL AND billable_at >= ended_at)",
    )
    op.execute(
        f"CREATE TRIGGER facts_stay BEFORE DELETE OR UPDATE OF {FACTS} ON calls"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.create_table(
        "bill_call_lists",
        sa.Column("bill_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("calls", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("bill_id", "revision", name=op.f("pk_bill_call_lists")),
        sa.ForeignKeyConstraint(
            ["bill_id", "revision"],
            ["bill_revisions.bill_id", "bill_revisions.revision"],
            name=op.f("fk_bill_call_lists_bill_id_revision"),
        ),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bill_call_lists"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _note_in_directory(of: str) -> None:
    op.execute("DROP TRIGGER directory_changed ON phone_accounts")
    op.execute(NOTE_IN_DIRECTORY.format(of=of))


def _index_ends_of_periods(old: str, new: str, *more: str) -> None:
    op.drop_index(old, table_name="phone_accounts")
    op.create_index(
        new,
        "phone_accounts",
        ["period_end", *more],
        postgresql_where=sa.text("period_end IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo: mark the calls with their bills again, and list them in all documents."""
    _index_ends_of_periods("ix_phone_accounts_period_end_id", "ix_phone_accounts_period_end")
    _note_in_directory("")
    op.execute("ALTER TABLE bill_revisions DISABLE TRIGGER append_only")
    op.execute(LIST_CALLS)
    op.execute("ALTER TABLE bill_revisions ENABLE TRIGGER append_only")
    op.drop_table("bill_call_lists")
    op.execute("DROP TRIGGER facts_stay ON calls")
    op.add_column("calls", sa.Column("bill_id", sa.BigInteger(), nullable=True))
    op.add_column("calls", sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute(SET_BILLS)
    op.drop_constraint(op.f("ck_calls_billable_whole"), "calls", type_="check")
    op.drop_index("ix_calls_account_id_billable_at", table_name="calls")
    op.drop_column("calls", "billable_at")
    op.create_index(
        "ix_calls_unbilled",
        "calls",
        ["account_id", "ended_at"],
        postgresql_where=sa.text("bill_id IS NULL AND price IS NOT NULL AND account_id IS NOT NULL"),
    )
    op.create_index("ix_calls_bill_id", "calls", ["bill_id"], postgresql_where=sa.text("bill_id IS NOT NULL"))

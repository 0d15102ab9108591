"""Let imports of files of calls be cancelled.

Revision: 0011, after 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHECK = "ck_call_imports_state_known"


def upgrade() -> None:
    """Let runs have been cancelled."""
    op.drop_constraint(op.f(CHECK), "call_imports")
    op.create_check_constraint(
        op.f(CHECK), "call_imports", "state IN ('running', 'finished', 'failed', 'cancelled')"
    )


def downgrade() -> None:
    """Call those runs failed."""
    op.execute("UPDATE call_imports SET state = 'failed' WHERE state = 'cancelled'")
    op.drop_constraint(op.f(CHECK), "call_imports")
    op.create_check_constraint(op.f(CHECK), "call_imports", "state IN ('running', 'finished', 'failed')")

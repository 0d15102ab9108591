"""Tell of overdue bills: when each was found to be.

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let bills say when they were told of; those that are overdue now will be told of."""
    op.add_column("bills", sa.Column("overdue_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget what was told."""
    op.drop_column("bills", "overdue_at")

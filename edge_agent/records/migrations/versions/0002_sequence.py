"""The order in which arrivals were accepted, whatever the clock did."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("arrivals", sa.Column("sequence", sa.Integer(), nullable=True))
    # Rows so far were never deleted: SQLite numbered them as they came.
    op.execute("UPDATE arrivals SET sequence = rowid")
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.alter_column("sequence", nullable=False)
        batch_op.create_index(batch_op.f("ix_arrivals_sequence"), ["sequence"], unique=True)


def downgrade() -> None:
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_arrivals_sequence"))
        batch_op.drop_column("sequence")

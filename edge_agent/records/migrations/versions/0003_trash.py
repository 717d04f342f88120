"""How much of a load is leaf and trash, as a model with a level estimates it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("trash_low", "trash_middle", "trash_high", "trash_coverage")


def upgrade() -> None:
    # Gradings so far keep NULL: nothing estimated it.
    for name in COLUMNS:
        op.add_column("gradings", sa.Column(name, sa.Double(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("gradings", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.drop_column(name)

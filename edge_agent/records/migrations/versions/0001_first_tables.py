"""Arrivals, gradings and frames."""

import sqlalchemy as sa
from alembic import op

from edge_agent.records.models import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("station", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("ticket", sa.String(length=64), nullable=True),
        sa.Column("plate", sa.String(length=32), nullable=True),
        sa.Column("province", sa.String(length=64), nullable=True),
        sa.Column("grower", sa.String(length=64), nullable=True),
        sa.Column("weight_kg", sa.Double(), nullable=True),
        sa.Column("instant", UTCDateTime(), nullable=False),
        sa.Column("accepted_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("ticket", name=op.f("uq_arrivals_ticket")),
    )
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_arrivals_instant"), ["instant"], unique=False)

    op.create_table(
        "gradings",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("arrival_id", sa.String(length=36), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("needs_person", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.String(length=300), nullable=True),
        sa.Column("grade", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("probabilities", sa.JSON(), nullable=True),
        sa.Column("model_name", sa.String(length=64), nullable=True),
        sa.Column("model_version", sa.String(length=32), nullable=True),
        sa.Column("model_digest", sa.String(length=64), nullable=True),
        sa.Column("graded_area", sa.JSON(), nullable=True),
        sa.Column("skew_ms", sa.Double(), nullable=True),
        sa.Column("timings_ms", sa.JSON(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["arrival_id"], ["arrivals.id"], name=op.f("fk_gradings_arrival_id_arrivals")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gradings")),
        sa.UniqueConstraint("arrival_id", name=op.f("uq_gradings_arrival_id")),
    )
    with op.batch_alter_table("gradings", schema=None) as batch_op:
        batch_op.create_index("ix_gradings_outcome_grade", ["outcome", "grade"], unique=False)

    op.create_table(
        "frames",
        sa.Column("grading_id", sa.Integer(), nullable=False),
        sa.Column("camera", sa.String(length=8), nullable=False),
        sa.Column("problem", sa.String(length=32), nullable=True),
        sa.Column("captured_at", UTCDateTime(), nullable=True),
        sa.Column("clock", sa.String(length=8), nullable=True),
        sa.Column("error_ms", sa.Double(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("path", sa.String(length=200), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["grading_id"], ["gradings.id"], name=op.f("fk_frames_grading_id_gradings")
        ),
        sa.PrimaryKeyConstraint("grading_id", "camera", name=op.f("pk_frames")),
    )


def downgrade() -> None:
    op.drop_table("frames")
    with op.batch_alter_table("gradings", schema=None) as batch_op:
        batch_op.drop_index("ix_gradings_outcome_grade")

    op.drop_table("gradings")
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_arrivals_instant"))

    op.drop_table("arrivals")

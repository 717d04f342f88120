"""Models, what they do, what was done with them, and what candidates made of trucks."""

import sqlalchemy as sa
from alembic import op

from edge_agent.records.models import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("fault", sa.String(length=600), nullable=True),
        sa.Column("trial", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_models")),
    )
    op.create_table(
        "model_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.String(length=600), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_events")),
    )
    with op.batch_alter_table("model_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_events_digest"), ["digest"], unique=False)

    op.create_table(
        "model_roles",
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("after_grading", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["models.digest"], name=op.f("fk_model_roles_digest_models")
        ),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_model_roles")),
    )
    op.create_table(
        "shadow_gradings",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("arrival_id", sa.String(length=36), nullable=False),
        sa.Column("active_digest", sa.String(length=64), nullable=False),
        sa.Column("active_grade", sa.String(length=16), nullable=False),
        sa.Column("active_ms", sa.Double(), nullable=False),
        sa.Column("grade", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("probabilities", sa.JSON(), nullable=True),
        sa.Column("needs_person", sa.Boolean(), nullable=False),
        sa.Column("ms", sa.Double(), nullable=True),
        sa.Column("fault", sa.String(length=300), nullable=True),
        sa.Column("graded_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["arrival_id"], ["arrivals.id"], name=op.f("fk_shadow_gradings_arrival_id_arrivals")
        ),
        sa.ForeignKeyConstraint(
            ["digest"], ["models.digest"], name=op.f("fk_shadow_gradings_digest_models")
        ),
        sa.PrimaryKeyConstraint("digest", "arrival_id", name=op.f("pk_shadow_gradings")),
    )


def downgrade() -> None:
    op.drop_table("shadow_gradings")
    op.drop_table("model_roles")
    with op.batch_alter_table("model_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_events_digest"))

    op.drop_table("model_events")
    op.drop_table("models")

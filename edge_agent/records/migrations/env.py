"""Alembic's entry: runs the migrations on the connection that `store` hands over."""

from alembic import context

from edge_agent.records.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    user_module_prefix="",  # migrations import UTCDateTime by name
)
with context.begin_transaction():
    context.run_migrations()

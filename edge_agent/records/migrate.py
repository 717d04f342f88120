"""Bringing a database to the newest revision of the tables."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the migrations inside this package, on an open connection."""
    config = Config()
    config.set_main_option("script_location", "edge_agent.records:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Runs all migrations that the database has not seen."""
    command.upgrade(alembic_config(connection), "head")

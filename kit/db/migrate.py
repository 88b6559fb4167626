"""Brings a service's schema up to date with Alembic, once, however many replicas start at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text

from kit.db.database import Database


async def migrate(database: Database, folder: Path) -> None:
    """Runs what is missing of the migrations in ``folder`` in one transaction."""
    async with database.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema()))"))
        await connection.run_sync(_upgrade, folder)


def _upgrade(connection: Connection, folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_env() -> None:
    """What a service's ``migrations/env.py`` calls."""
    context.configure(connection=context.config.attributes["connection"])
    with context.begin_transaction():
        context.run_migrations()

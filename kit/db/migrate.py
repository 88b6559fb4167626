"""Brings a service's schema up to date with Alembic, once, however many replicas start at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from kit.db.database import Database
from kit.server import StartupError
from kit.settings import ServerSettings


async def prepare(service: str, settings: ServerSettings, folder: Path) -> None:
    """Brings a service's schema up to date where its settings ask for it.

    Raises ``StartupError`` naming the variable where the database does not answer or refuses.
    """
    if not settings.migrate:
        return
    database = Database(settings.database_url, pool_size=1, name=f"{service} migrations")
    try:
        await migrate(database, folder)
    except (OSError, DBAPIError) as exc:
        reason = exc.orig if isinstance(exc, DBAPIError) else exc
        variable = f"{service.upper()}_DATABASE_URL"
        raise StartupError(f"{variable}: the schema can't be brought up to date: {reason}") from exc
    finally:
        await database.close()


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

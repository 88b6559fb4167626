"""The tables in the code are the tables in the database."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from kit.db import Database
from kit.db.migrate import migrate
from services.sandbox.app import MIGRATIONS
from services.sandbox.tables import metadata
from tests.fixtures.postgres import Postgres


async def test_the_migrations_make_the_tables_of_the_code(postgres: Postgres) -> None:
    urls = await postgres.fresh_async()
    database = Database(urls.sandbox, pool_size=1, name="test")
    await migrate(database, MIGRATIONS)
    await migrate(database, MIGRATIONS)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []
        checks = await connection.execute(
            text("SELECT conname FROM pg_constraint WHERE contype = 'c' ORDER BY conname")
        )
        found = set(checks.scalars())
    await database.close()
    assert {"sandboxes_status_known", "sandboxes_closed_has_reason"} <= found

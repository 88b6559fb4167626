"""The schema: as the code believes it to be, and closed to the other services' roles."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from kit.db import Database
from services.projects.app import prepare
from services.projects.tables import metadata
from tests.fixtures.postgres import DatabaseUrls, Postgres
from tests.fixtures.projects import projects_settings


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return [
        difference
        for difference in compare_metadata(context, metadata)
        if "alembic_version" not in str(difference)
    ]


async def test_the_migrations_make_the_tables_that_the_code_knows(
    postgres: Postgres, key_folder: Path
) -> None:
    urls = await postgres.fresh_async()
    await prepare(projects_settings(urls, key_folder))
    database = Database(urls.projects, pool_size=1, name="test")
    async with database.begin() as connection:
        assert await connection.run_sync(_differences) == []
    await database.close()


async def test_replicas_that_start_at_once_migrate_once(
    postgres: Postgres, key_folder: Path
) -> None:
    settings = projects_settings(await postgres.fresh_async(), key_folder)
    await asyncio.gather(*(prepare(settings) for _ in range(3)))
    await prepare(settings)


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_no_services_role_reads_or_writes_anothers_tables(
    postgres: Postgres, key_folder: Path
) -> None:
    urls = await postgres.fresh_async()
    await prepare(projects_settings(urls, key_folder))
    for own, url in (("sandbox", urls.sandbox), ("generation", urls.generation)):
        connection = await asyncpg.connect(_dsn(url))
        await connection.execute(f"CREATE TABLE {own}.mine (secret text)")
        for statement in (
            "SELECT * FROM projects.users",
            "DELETE FROM projects.projects",
            "CREATE TABLE projects.theirs (id int)",
            "SET ROLE " + str(make_url(urls.projects).username),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()
    await _projects_reads_nothing_else(urls)


async def _projects_reads_nothing_else(urls: DatabaseUrls) -> None:
    connection = await asyncpg.connect(_dsn(urls.projects))
    assert await connection.fetchval("SELECT count(*) FROM users") == 0
    for statement in (
        "SELECT * FROM sandbox.mine",
        "SELECT * FROM generation.mine",
        "CREATE TABLE public.anything (id int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()

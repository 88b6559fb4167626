"""Gives each service its role and its schema: ``python -m kit.db.bootstrap``.

Reads ``ADMIN_DATABASE_URL`` and ``PROJECTS_DATABASE_URL``, ``SANDBOX_DATABASE_URL``, ``GENERATION_DATABASE_URL``; from
each of the three come a role's name and password. Run again it changes nothing but the passwords. A role owns its
schema, finds it first and can read no other.
"""

from __future__ import annotations

import asyncio

import asyncpg
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url

from kit.settings import read


class BootstrapSettings(BaseSettings):
    """The admin's URL and the services' own."""

    model_config = SettingsConfigDict(extra="ignore")

    admin_database_url: str
    projects_database_url: str
    sandbox_database_url: str
    generation_database_url: str


async def bootstrap(admin_url: str, service_urls: dict[str, str]) -> None:
    """Makes roles and schemas by ``{schema: the service's URL}``, in the database that these URLs name."""
    urls = {schema: make_url(url) for schema, url in service_urls.items()}
    database = next(iter(urls.values())).database
    admin = make_url(admin_url)
    await _ensure_database(admin, str(database))
    connection = await asyncpg.connect(_dsn(admin.set(database=database)))
    try:
        async with connection.transaction():
            # Two bootstraps at once would trip over each other's roles.
            await connection.execute("SELECT pg_advisory_xact_lock(50861)")
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for schema, url in urls.items():
                await _ensure_schema(connection, schema, url)
    finally:
        await connection.close()


async def _ensure_database(admin: URL, database: str) -> None:
    connection = await asyncpg.connect(_dsn(admin))
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {_quoted(database)}")
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


async def _ensure_schema(connection: asyncpg.Connection, schema: str, url: URL) -> None:
    role, password = _quoted(str(url.username)), _literal(str(url.password or ""))
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", url.username)
    verb = "ALTER" if known else "CREATE"
    await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD {password} NOINHERIT")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
    # Where the admin is no superuser it must belong to a role to give it a schema.
    await connection.execute(f"GRANT {role} TO CURRENT_USER")
    await connection.execute(f"ALTER SCHEMA {_quoted(schema)} OWNER TO {role}")
    database = _quoted(str(url.database))
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    await connection.execute(
        f"ALTER ROLE {role} IN DATABASE {database} SET search_path = {_quoted(schema)}"
    )


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> None:
    """Bootstraps by the environment."""
    settings = read(BootstrapSettings)
    urls = {
        "projects": settings.projects_database_url,
        "sandbox": settings.sandbox_database_url,
        "generation": settings.generation_database_url,
    }
    asyncio.run(bootstrap(settings.admin_database_url, urls))


if __name__ == "__main__":
    main()

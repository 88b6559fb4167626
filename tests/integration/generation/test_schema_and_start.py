"""The tables are what the migrations make, and a start that can't succeed says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from kit.db import Database
from kit.db.migrate import migrate
from services.generation.app import MIGRATIONS
from services.generation.tables import metadata
from tests.fixtures.postgres import Postgres

ROOT = Path(__file__).parents[3]


async def test_migrations_make_the_tables_and_can_be_run_again(postgres: Postgres) -> None:
    urls = await postgres.fresh_async()
    database = Database(urls.generation, pool_size=1, name="test")

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    try:
        await migrate(database, MIGRATIONS)
        await migrate(database, MIGRATIONS)
        async with database.begin() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await database.close()


BAD = {
    "no model": ({"ANTHROPIC_API_KEY": ""}, "ANTHROPIC_API_KEY"),
    "no database": (
        {"GENERATION_DATABASE_URL": "postgresql+asyncpg://a:b@127.0.0.1:1/x"},
        "GENERATION_DATABASE_URL",
    ),
    "no key file": ({"GENERATION_SERVICE_KEY_FILE": "/nowhere/key"}, "/nowhere/key"),
    "a port that is none": ({"GENERATION_PORT": "70000"}, "GENERATION_PORT"),
    "no budget": ({"GENERATION_MAX_COST_USD": "0"}, "GENERATION_MAX_COST_USD"),
}


@pytest.mark.parametrize(("changed", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_setting_is_named_and_ends_the_process(
    postgres: Postgres, key_folder: Path, changed: dict[str, str], named: str
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "GENERATION_PORT": "0",
        "GENERATION_DATABASE_URL": postgres.fresh().generation,
        "GENERATION_SERVICE_KEY_FILE": str(key_folder / "generation.jwk"),
        "SERVICE_KEYS_FILE": str(key_folder / "services.jwks"),
        "ANTHROPIC_API_KEY": "a-key-nobody-may-see",
        "LOG_FORMAT": "console",
        **changed,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "services.generation"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "a-key-nobody-may-see" not in ended.stderr

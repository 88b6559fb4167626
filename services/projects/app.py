"""Puts the projects service together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.auth.keys import SigningKey, public_keys, read_public_keys, read_signing_keys
from kit.auth.tokens import Verifier
from kit.db import Database
from kit.db.listen import Listener
from kit.db.migrate import prepare as bring_up_to_date
from kit.server import Application, StartupError
from protos.projects.v1 import accounts_pb2_grpc, projects_pb2_grpc
from services.projects.repository.changes import CHANNEL
from services.projects.rpc.accounts import AccountsServicer
from services.projects.rpc.projects import ProjectsServicer, UseCases
from services.projects.service.accounts import Accounts
from services.projects.service.changes import Changes
from services.projects.service.files import Files
from services.projects.service.passwords import Passwords
from services.projects.service.projects import Projects
from services.projects.service.upload import Limits
from services.projects.service.versions import Versions
from services.projects.service.writes import Writes
from services.projects.settings import ProjectsSettings

ACCOUNTS = "sandwright.projects.v1.AccountsService"
PROJECTS = "sandwright.projects.v1.ProjectsService"
MIGRATIONS = Path(__file__).parent / "migrations"


class OwnKeys:
    """The users' public keys, where they come from."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """All keys that are published."""
        self._keys = public_keys([key.public_jwk() for key in keys])

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, ``None`` where there is none."""
        return self._keys.get(kid)


async def prepare(settings: ProjectsSettings) -> None:
    """Brings the schema up to date. Raises ``StartupError`` where the database does not answer."""
    await bring_up_to_date("projects", settings, MIGRATIONS)


def build(settings: ProjectsSettings) -> Application:
    """The service, ready to be served. Raises ``StartupError`` for a key file that can't be used."""
    keys, service_keys = _keys(settings)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, name="projects"
    )
    passwords = _passwords(settings)
    listener = Listener(settings.database_url, CHANNEL)
    app = Application(services={}, verifier=Verifier("projects", service_keys, OwnKeys(keys)))
    changes = Changes(database, listener, app.stopping, settings.change_poll_seconds)
    app.services[ACCOUNTS] = partial(
        accounts_pb2_grpc.add_AccountsServiceServicer_to_server,
        AccountsServicer(_accounts(settings, database, passwords, keys[0]), keys),
    )
    app.services[PROJECTS] = partial(
        projects_pb2_grpc.add_ProjectsServiceServicer_to_server,
        ProjectsServicer(_use_cases(settings, database, changes)),
    )
    app.background.append(listener.run_until(app.stopping))
    app.resources.push_async_callback(database.close)
    app.resources.callback(passwords.close)
    return app


def _keys(
    settings: ProjectsSettings,
) -> tuple[list[SigningKey], dict[str, Ed25519PublicKey]]:
    """The keys that sign users' tokens, and the other services' public ones."""
    try:
        return (
            read_signing_keys(settings.signing_keys_file),
            read_public_keys(settings.service_keys_file),
        )
    except ValueError as exc:
        raise StartupError(str(exc)) from exc


def _accounts(
    settings: ProjectsSettings, database: Database, passwords: Passwords, key: SigningKey
) -> Accounts:
    return Accounts(
        database, passwords, key, settings.access_token_seconds, settings.refresh_token_seconds
    )


def _use_cases(settings: ProjectsSettings, database: Database, changes: Changes) -> UseCases:
    limits = Limits(
        file_bytes=settings.max_file_bytes,
        project_files=settings.max_project_files,
        project_bytes=settings.max_project_bytes,
        write_steps=settings.max_write_steps,
    )
    return UseCases(
        projects=Projects(database, settings.max_projects),
        files=Files(database),
        writes=Writes(database, limits),
        versions=Versions(database, settings.operation_memory_seconds),
        changes=changes,
    )


def _passwords(settings: ProjectsSettings) -> Passwords:
    return Passwords(
        memory_kib=settings.password_memory_kib,
        time_cost=settings.password_time_cost,
        lanes=settings.password_lanes,
        threads=settings.password_threads,
        queue=settings.password_queue,
    )

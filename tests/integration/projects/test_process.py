"""The service as a process of its own: what it acknowledged survives its death, and it stops when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from sqlalchemy.engine import make_url

from kit.auth.keys import read_signing_keys
from kit.auth.tokens import ServiceIdentity
from kit.server import StartupError
from kit.testing import free_port
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc, projects_pb2, projects_pb2_grpc
from services.projects.app import build, prepare
from tests.fixtures.postgres import DatabaseUrls, Postgres
from tests.fixtures.project_files import END, put, sha256
from tests.fixtures.projects import PASSWORD, projects_settings

ROOT = Path(__file__).parents[3]


@contextmanager
def _process(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "services.projects"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _environment(postgres: Postgres, key_folder: Path) -> dict[str, str]:
    return {
        "PROJECTS_PORT": str(free_port()),
        "PROJECTS_DATABASE_URL": postgres.fresh().projects,
        "PROJECTS_SERVICE_KEY_FILE": str(key_folder / "projects.jwk"),
        "PROJECTS_SIGNING_KEYS_FILE": str(key_folder / "users.jwks"),
        "SERVICE_KEYS_FILE": str(key_folder / "services.jwks"),
    }


def _channel(environment: dict[str, str]) -> grpc.Channel:
    # Attempts that come before the process listens must not delay the next one by seconds.
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)]
    return grpc.insecure_channel(f"127.0.0.1:{environment['PROJECTS_PORT']}", options)


def test_what_was_acknowledged_survives_kill_9_and_sigterm_ends_cleanly(
    postgres: Postgres, key_folder: Path
) -> None:
    environment = _environment(postgres, key_folder)
    content = os.urandom(3_000_000)
    identity = ServiceIdentity(read_signing_keys(key_folder / "sandbox.jwk")[0])

    with _process(environment) as process, _channel(environment) as channel:
        accounts = accounts_pb2_grpc.AccountsServiceStub(channel)
        projects = projects_pb2_grpc.ProjectsServiceStub(channel)
        session = accounts.Register(
            accounts_pb2.RegisterRequest(email="a@example.com", password=PASSWORD),
            wait_for_ready=True,
            timeout=60,
        )
        as_user = (("authorization", f"Bearer {session.access_token}"),)
        made = projects.CreateProject(
            projects_pb2.CreateProjectRequest(name="Kept"), metadata=as_user, timeout=30
        )
        token = identity.token("projects", session.user.user_id)
        as_service = (("authorization", f"Bearer {token}"),)
        sent = _requests(made.project_id, content)
        projects.PutFiles(iter(sent), metadata=as_service, timeout=30)
        process.kill()
        assert process.wait(30) == -signal.SIGKILL

    with _process(environment) as process, _channel(environment) as channel:
        projects = projects_pb2_grpc.ProjectsServiceStub(channel)
        request = projects_pb2.GetFileRequest(project_id=made.project_id, path="photo.jpg")
        answers = projects.GetFile(request, metadata=as_user, wait_for_ready=True, timeout=60)
        assert sha256(b"".join(answer.data for answer in answers)) == sha256(content)
        process.terminate()
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0
        assert b'"event": "draining"' in told
        assert b"Traceback" not in told


def _requests(project_id: str, content: bytes) -> list[projects_pb2.PutFilesRequest]:
    header = projects_pb2.PutFilesHeader(project_id=project_id)
    return [
        projects_pb2.PutFilesRequest(header=header),
        *(projects_pb2.PutFilesRequest(operation=s) for s in [*put("photo.jpg", content), END]),
    ]


async def test_a_start_that_must_fail_says_why_and_no_secret(
    projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    nowhere = "postgresql+asyncpg://nobody:secret@127.0.0.1:1/none"
    with pytest.raises(StartupError, match="PROJECTS_DATABASE_URL") as unreachable:
        await prepare(projects_settings(projects_urls, key_folder, database_url=nowhere))
    wrong = make_url(projects_urls.projects).set(password="secret")
    url = wrong.render_as_string(hide_password=False)
    with pytest.raises(StartupError, match="password authentication failed") as unauthorized:
        await prepare(projects_settings(projects_urls, key_folder, database_url=url))
    assert "secret" not in f"{unreachable.value} {unauthorized.value}"
    missing = key_folder / "missing.jwks"
    with pytest.raises(StartupError, match=r"missing\.jwks"):
        build(projects_settings(projects_urls, key_folder, signing_keys_file=missing))

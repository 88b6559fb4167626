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

from kit.auth.keys import read_signing_keys
from kit.auth.tokens import ServiceIdentity
from kit.testing import free_port
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc, projects_pb2, projects_pb2_grpc
from tests.fixtures.postgres import Postgres
from tests.fixtures.project_files import put, sha256
from tests.fixtures.projects import PASSWORD

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


def test_what_was_acknowledged_is_there_after_kill_9(postgres: Postgres, key_folder: Path) -> None:
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

    with _process(environment), _channel(environment) as channel:
        projects = projects_pb2_grpc.ProjectsServiceStub(channel)
        request = projects_pb2.GetFileRequest(project_id=made.project_id, path="photo.jpg")
        answers = projects.GetFile(request, metadata=as_user, wait_for_ready=True, timeout=60)
        assert sha256(b"".join(answer.data for answer in answers)) == sha256(content)


def _requests(project_id: str, content: bytes) -> list[projects_pb2.PutFilesRequest]:
    header = projects_pb2.PutFilesHeader(project_id=project_id)
    return [
        projects_pb2.PutFilesRequest(header=header),
        *(projects_pb2.PutFilesRequest(operation=s) for s in put("photo.jpg", content)),
    ]


def test_sigterm_ends_the_process_cleanly(postgres: Postgres, key_folder: Path) -> None:
    environment = _environment(postgres, key_folder)
    with _process(environment) as process, _channel(environment) as channel:
        accounts = accounts_pb2_grpc.AccountsServiceStub(channel)
        request = accounts_pb2.GetSigningKeysRequest()
        accounts.GetSigningKeys(request, wait_for_ready=True, timeout=60)
        process.terminate()
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0
        assert b'"event": "draining"' in told
        assert b"Traceback" not in told


def test_a_bad_setting_is_one_clear_line(postgres: Postgres, key_folder: Path) -> None:
    environment = _environment(postgres, key_folder)
    cases = {
        "PROJECTS_ACCESS_TOKEN_SECONDS": "soon",
        "PROJECTS_SIGNING_KEYS_FILE": str(key_folder / "missing.jwks"),
        "PROJECTS_DATABASE_URL": "postgresql+asyncpg://nobody:secret@127.0.0.1:1/none",
    }
    for name, value in cases.items():
        with _process({**environment, name: value}) as process:
            _, told = process.communicate(timeout=60)
        assert process.returncode == 2
        assert len(told.splitlines()) == 1, told
        assert b"secret" not in told

"""A server of kit's with a servicer of our protos, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy.exc import InterfaceError

from kit.auth.keys import public_keys, read_public_keys, read_signing_keys
from kit.auth.tokens import ServiceIdentity, Verifier, issue_user_token
from kit.channels import open_channel
from kit.context import Principal, acting_for, current_user, request_id, set_principal
from kit.errors import (
    FailedPrecondition,
    Invalid,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from kit.server import Application, Registration, Server, StartupError
from kit.settings import DeadlineSettings, ServerSettings
from kit.status import from_rpc_error, peer_errors
from kit.testing import free_port
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc, projects_pb2, projects_pb2_grpc

SERVICES = ("sandwright.projects.v1.ProjectsService", "sandwright.projects.v1.AccountsService")


class Projects(projects_pb2_grpc.ProjectsServiceServicer):
    """Answers by the project's id: which failure to show."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = asyncio.Event()

    async def GetProject(self, request: Any, context: Any) -> projects_pb2.Project:
        self.calls += 1
        match request.project_id:
            case "missing":
                raise NotFound("no such project", reason="PROJECT_NOT_FOUND")
            case "broken":
                raise RuntimeError("a secret of the implementation")
            case "database":
                raise InterfaceError("SELECT secret", {}, Exception("connection is closed"))
            case "once-unavailable" if self.calls == 1:
                raise Unavailable("not yet")
            case "slow":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
        return projects_pb2.Project(
            project_id=request.project_id, owner_id=current_user(), name=request_id.get()
        )

    async def ReportSandbox(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    async def PutFiles(self, request_iterator: Any, context: Any) -> projects_pb2.PutFilesResponse:
        self.calls += 1
        async for message in request_iterator:
            if message.HasField("header") and message.header.project_id == "locked":
                raise FailedPrecondition("locked")
        return projects_pb2.PutFilesResponse()

    async def WatchChanges(self, request: Any, context: Any) -> AsyncIterator[projects_pb2.Change]:
        yield projects_pb2.Change(sequence=request.after_sequence + 1)
        raise NotFound("gone")


class Accounts(accounts_pb2_grpc.AccountsServiceServicer):
    """The public side."""

    async def Login(self, request: Any, context: Any) -> accounts_pb2.SessionResponse:
        return accounts_pb2.SessionResponse(access_token="t")


class _UserKeys:
    def __init__(self, folder: Path) -> None:
        self.keys = read_signing_keys(folder / "users.jwks")

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        return public_keys([key.public_jwk() for key in self.keys]).get(kid)


class Running:
    """A server and what a caller needs."""

    def __init__(self, server: Server, servicer: Projects, folder: Path) -> None:
        self.server, self.servicer, self.folder = server, servicer, folder
        self.address = f"127.0.0.1:{server.port}"

    @property
    def user_token(self) -> str:
        return issue_user_token(_UserKeys(self.folder).keys[0], "usr-1", "ses-1", 60)

    def service(self, **options: Any) -> grpc.aio.Channel:
        key = read_signing_keys(self.folder / "sandbox.jwk")[0]
        return open_channel(self.address, SERVICES, identity=ServiceIdentity(key), **options)


def _server(folder: Path, servicer: Projects, port: int = 0) -> Server:
    settings = ServerSettings(
        port=port,
        service_key_file=folder / "projects.jwk",
        service_keys_file=folder / "services.jwks",
        database_url="postgresql+asyncpg://unused",
        drain_seconds=2,
    )
    accounts = Accounts()  # type: ignore[abstract]  # answers what the tests call, no more
    add: dict[str, Registration] = {
        SERVICES[0]: partial(projects_pb2_grpc.add_ProjectsServiceServicer_to_server, servicer),
        SERVICES[1]: partial(accounts_pb2_grpc.add_AccountsServiceServicer_to_server, accounts),
    }
    verifier = Verifier("projects", read_public_keys(folder / "services.jwks"), _UserKeys(folder))
    return Server(settings, Application(services=add, verifier=verifier))


@asynccontextmanager
async def _run(folder: Path, port: int = 0) -> AsyncIterator[Running]:
    servicer = Projects()  # type: ignore[abstract]  # as above
    server = _server(folder, servicer, port)
    await server.start()
    try:
        yield Running(server, servicer, folder)
    finally:
        await server.stop()


@pytest.fixture
async def running(key_folder: Path) -> AsyncIterator[Running]:
    async with _run(key_folder) as found:
        yield found


async def _get(channel: grpc.aio.Channel, project_id: str, **options: Any) -> projects_pb2.Project:
    stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
    with peer_errors():
        found: projects_pb2.Project = await stub.GetProject(
            projects_pb2.GetProjectRequest(project_id=project_id), **options
        )
    return found


async def test_a_service_calls_for_a_user_and_the_request_id_travels(running: Running) -> None:
    async with running.service() as channel:
        request_id.set("req-of-the-test")
        with acting_for("usr-7", "sandbox"):
            found = await _get(channel, "prj-1")
    assert (found.owner_id, found.name) == ("usr-7", "req-of-the-test")


async def test_the_users_own_token_is_passed_on_where_the_method_is_open_to_users(
    running: Running,
) -> None:
    set_principal(Principal(user_id="usr-1", token=running.user_token))
    async with running.service() as channel:
        assert (await _get(channel, "prj-1")).owner_id == "usr-1"
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        # An internal method gets the service's token, or it would be refused.
        await stub.ReportSandbox(
            projects_pb2.ReportSandboxRequest(project_id="prj-1", status=1, revision=1)  # type: ignore[arg-type]  # a number is an enum value on the wire
        )


@pytest.mark.parametrize(
    ("project_id", "kind", "reason"),
    [
        ("missing", NotFound, "PROJECT_NOT_FOUND"),
        ("database", Unavailable, "UNAVAILABLE"),
        ("Not An Id", Invalid, "INVALID_ARGUMENT"),
        ("", Invalid, "INVALID_ARGUMENT"),
    ],
)
async def test_an_error_reaches_the_caller_as_itself(
    running: Running, project_id: str, kind: type[Exception], reason: str
) -> None:
    async with running.service() as channel:
        with acting_for("usr-1", "sandbox"), pytest.raises(kind) as caught:
            await _get(channel, project_id)
    assert getattr(caught.value, "reason", "") == reason


async def test_an_unknown_exception_is_a_bare_internal_with_the_request_id(
    running: Running,
) -> None:
    async with running.service() as channel:
        request_id.set("req-broken")
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        with acting_for("usr-1", "sandbox"), pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetProject(projects_pb2.GetProjectRequest(project_id="broken"))
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert caught.value.details() == "internal error; request id req-broken"
    assert "secret" not in str(caught.value)


async def _refused(running: Running, method: str, request: Any, token: str | None) -> Exception:
    async with open_channel(running.address, SERVICES) as channel:
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        metadata = [("authorization", token)] if token is not None else []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub, method)(request, metadata=metadata)
    return from_rpc_error(caught.value)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("", "TOKEN_MISSING"),
        ("Bearer", "BAD_TOKEN"),
        ("Basic dXNlcjpwYXNz", "BAD_TOKEN"),
        ("Bearer x.y.z", "BAD_TOKEN"),
    ],
)
async def test_without_a_good_token_nobody_passes(
    running: Running, token: str | None, reason: str
) -> None:
    request = projects_pb2.GetProjectRequest(project_id="prj-1")
    error = await _refused(running, "GetProject", request, token)
    assert isinstance(error, Unauthenticated)
    assert error.reason == reason
    assert running.servicer.calls == 0


async def test_a_users_token_does_not_open_an_internal_method(running: Running) -> None:
    request = projects_pb2.ReportSandboxRequest(project_id="prj-1", status=1, revision=1)  # type: ignore[arg-type]  # as above
    error = await _refused(running, "ReportSandbox", request, f"Bearer {running.user_token}")
    assert isinstance(error, PermissionDenied)


async def test_a_service_for_nobody_is_no_user(running: Running) -> None:
    async with running.service() as channel:
        with acting_for("", "sandbox"), pytest.raises(PermissionDenied):
            await _get(channel, "prj-1")


async def test_a_public_method_needs_no_token_and_is_validated_all_the_same(
    running: Running,
) -> None:
    async with open_channel(running.address, SERVICES) as channel:
        stub: Any = accounts_pb2_grpc.AccountsServiceStub(channel)
        answer = await stub.Login(accounts_pb2.LoginRequest(email="a@b.c", password="x"))
        assert answer.access_token == "t"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Login(accounts_pb2.LoginRequest(email="a@b.c"))
    error = from_rpc_error(caught.value)
    assert [violation.field for violation in error.violations] == ["password"]


async def test_every_message_of_a_stream_is_validated(running: Running) -> None:
    async def messages() -> AsyncIterator[projects_pb2.PutFilesRequest]:
        header = projects_pb2.PutFilesHeader(project_id="prj-1")
        yield projects_pb2.PutFilesRequest(header=header)
        yield projects_pb2.PutFilesRequest()

    async with running.service() as channel:
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        with acting_for("usr-1", "sandbox"), pytest.raises(Invalid), peer_errors():
            await stub.PutFiles(messages())


async def test_an_error_after_a_streams_first_message_is_typed_too(running: Running) -> None:
    async with running.service() as channel:
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        call = stub.WatchChanges(projects_pb2.WatchChangesRequest())
        assert (await call.read()).sequence == 1
        with pytest.raises(NotFound), peer_errors():
            await call.read()


async def test_an_idempotent_call_is_tried_again_and_the_deadline_is_the_methods_own(
    running: Running,
) -> None:
    async with running.service(deadlines=DeadlineSettings(read_seconds=0.3)) as channel:
        with acting_for("usr-1", "sandbox"):
            assert (await _get(channel, "once-unavailable")).project_id == "once-unavailable"
            assert running.servicer.calls == 2
            with pytest.raises(Exception, match="DeadlineExceeded"):
                await _get(channel, "slow")
    await asyncio.wait_for(running.servicer.cancelled.wait(), 10)


async def test_a_call_waits_for_a_peer_that_is_restarting(key_folder: Path) -> None:
    port = free_port()
    async with _run(key_folder, port) as running:
        channel = running.service(wait_for_ready=True)
        with acting_for("usr-1", "sandbox"):
            await _get(channel, "prj-1")
    with acting_for("usr-1", "sandbox"):
        waiting = asyncio.create_task(_get(channel, "prj-2", timeout=30))
        async with _run(key_folder, port):
            assert (await waiting).project_id == "prj-2"
    await channel.close()


async def test_health_is_told_for_the_whole_and_for_each_service(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICES):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_port_in_use_is_one_clear_error(running: Running, key_folder: Path) -> None:
    other = Projects()  # type: ignore[abstract]  # as above
    second = _server(key_folder, other, running.server.port)
    with pytest.raises(StartupError, match=f"{running.server.port}: is the port in use"):
        await second.start()


async def test_bad_settings_are_named_by_their_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kit.settings import read

    monkeypatch.setenv("DEADLINE_READ_SECONDS", "soon")
    with pytest.raises(SystemExit) as caught:
        read(DeadlineSettings)
    assert caught.value.code == 2
    assert "DEADLINE_READ_SECONDS" in capsys.readouterr().err

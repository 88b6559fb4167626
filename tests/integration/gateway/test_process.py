"""The gateway as a process: settings, health, draining, and the platform's routes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from kit.testing import eventually, free_port
from protos.generation.v1 import generation_pb2, generation_pb2_grpc
from protos.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc


class FakeGeneration(generation_pb2_grpc.GenerationServiceServicer):
    """Sends two events and then waits."""

    def __init__(self) -> None:
        self.open = 0
        self.metadata: dict[str, Any] = {}

    async def WatchGeneration(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.metadata = dict(context.invocation_metadata())
        self.open += 1
        try:
            for sequence in (1, 2):
                if sequence > request.after_sequence:
                    text = generation_pb2.TextDelta(text=f"hello {sequence}")
                    yield generation_pb2.GenerationEvent(sequence=sequence, text_delta=text)
            await asyncio.Event().wait()
        finally:
            self.open -= 1


class FakeSandbox(sandbox_pb2_grpc.SandboxServiceServicer):
    """Answers as design says that a creation is answered."""

    async def CreateSandbox(self, request: Any, context: Any) -> Any:
        answer = sandbox_pb2.CreateSandboxResponse(
            message="Sandbox created successfully",
            sandbox_id="sbx-1",
            sandbox_url="http://8000-sbx-1.localhost:3000",
            status=sandbox_pb2.SANDBOX_STATUS_ACTIVE,
        )
        answer.expires_at.FromJsonString("2026-01-31T12:00:00Z")
        return answer


@dataclass
class Backends:
    """The peers that a gateway is given."""

    address: str
    server: grpc.aio.Server
    health: HealthServicer
    generation: FakeGeneration


@pytest.fixture(name="backends")
async def _backends() -> AsyncIterator[Backends]:
    server, health = grpc.aio.server(), HealthServicer()
    generation = FakeGeneration()  # type: ignore[abstract]  # what is not overridden answers UNIMPLEMENTED
    sandbox = FakeSandbox()  # type: ignore[abstract]  # as above
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
    sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(sandbox, server)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield Backends(address, server, health, generation)
    await server.stop(None)


@dataclass
class Process:
    """A running gateway."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient


def environment(backends: Backends | None, **more: str) -> dict[str, str]:
    address = backends.address if backends else "127.0.0.1:1"
    names = ("PROJECTS_ADDRESS", "SANDBOX_ADDRESS", "GENERATION_ADDRESS")
    return {**os.environ, **dict.fromkeys(names, address), **more}


@asynccontextmanager
async def gateway(backends: Backends | None, **more: str) -> AsyncIterator[Process]:
    """Starts ``python -m gateway`` on a free port and waits until it answers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=environment(backends, GATEWAY_PORT=str(port), **more),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await eventually(lambda: _alive(client, process))
            yield Process(process, client)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _alive(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, await process.communicate()
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx.ConnectError:
        return False


async def test_readiness_follows_each_backend(backends: Backends) -> None:
    async with gateway(backends) as running:
        ready = await running.http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "ready",
            "services": dict.fromkeys(("projects", "sandbox", "generation"), "SERVING"),
        }
        await backends.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        down = await running.http.get("/readyz")
        assert (down.status_code, down.json()["services"]["sandbox"]) == (503, "NOT_SERVING")
        await backends.server.stop(None)
        gone = await running.http.get("/readyz")
        assert (gone.status_code, gone.json()["services"]["sandbox"]) == (503, "UNREACHABLE")
        assert (await running.http.get("/livez")).json() == {"status": "alive"}


async def test_a_sandbox_is_answered_exactly_as_promised(backends: Backends) -> None:
    async with gateway(backends) as running:
        answer = await running.http.post("/api/projects/p1/sandbox")
        assert answer.json() == {
            "message": "Sandbox created successfully",
            "sandboxId": "sbx-1",
            "sandboxUrl": "http://8000-sbx-1.localhost:3000",
            "status": "active",
            "expiresAt": "2026-01-31T12:00:00Z",
        }


async def test_sigterm_ends_streams_with_a_hint_and_the_process_with_zero(
    backends: Backends,
) -> None:
    async with gateway(backends) as running:
        headers = {
            "accept": "text/event-stream",
            "last-event-id": "1",
            "authorization": "Bearer t",
            "x-request-id": "req-7",
        }
        seen = ""
        url = "/api/generations/gen-1/events"
        async with running.http.stream("GET", url, headers=headers) as answer:
            async for text in answer.aiter_text():
                seen += text
                if "hello 2" in seen:
                    running.process.send_signal(signal.SIGTERM)
        assert "hello 1" not in seen
        assert "id: 2\nevent: text_delta\n" in seen
        assert seen.endswith("retry: 1000\n\n")
        assert await asyncio.wait_for(running.process.wait(), 20) == 0
        assert backends.generation.metadata["authorization"] == "Bearer t"
        assert backends.generation.metadata["x-request-id"] == "req-7"
    await eventually(lambda: backends.generation.open == 0)


async def test_internal_rpcs_have_no_route(backends: Backends) -> None:
    async with gateway(backends) as running:
        for path in (
            "/sandwright.sandbox.v1.SandboxService/EnsureSandbox",
            "/sandwright.projects.v1.ProjectsService/WatchChanges",
            "/api/ensure",
        ):
            assert (await running.http.post(path, json={})).status_code == 404


async def test_the_index_leads_to_the_api_description(backends: Backends) -> None:
    async with gateway(backends) as running:
        index = (await running.http.get("/")).json()
        document = (await running.http.get(index["openapi"])).json()
        assert document["openapi"] == "3.1.0"
        assert "/api/generate" in document["paths"]
        wrong = await running.http.post("/openapi.json")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_scripts_of_other_sites_are_let_in_by_setting_alone(backends: Backends) -> None:
    asked = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    async with gateway(backends) as running:
        answer = await running.http.options("/api/projects", headers=asked)
        assert "access-control-allow-origin" not in answer.headers
    origins = "https://a.example, https://b.example"
    async with gateway(backends, GATEWAY_ALLOWED_ORIGINS=origins) as running:
        answer = await running.http.options("/api/projects", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        other = await running.http.options(
            "/api/projects", headers={**asked, "origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in other.headers


async def test_only_a_trusted_proxy_may_say_who_calls(backends: Backends) -> None:
    async def seen(**settings: str) -> str:
        async with gateway(backends, **settings) as running:
            url, headers = "/api/generations/g/events", {"x-forwarded-for": "9.9.9.9"}
            async with running.http.stream("GET", url, headers=headers) as answer:
                await anext(answer.aiter_bytes())
            return str(backends.generation.metadata["x-forwarded-for"])

    assert await seen() == "127.0.0.1"
    assert await seen(GATEWAY_TRUSTED_PROXIES="127.0.0.1") == "9.9.9.9"


async def _fails(**settings: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=environment(None, **settings),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, err.decode()


async def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = await _fails(GATEWAY_PORT=str(port))
    assert code == 2
    assert f"127.0.0.1:{port}" in text
    assert "GATEWAY_PORT" in text
    assert "Traceback" not in text


async def test_a_bad_setting_is_named() -> None:
    code, text = await _fails(GATEWAY_UPLOAD_CHUNK_BYTES="9999999")
    assert code == 2
    assert "GATEWAY_UPLOAD_CHUNK_BYTES" in text
    assert "Traceback" not in text


async def test_logs_are_json_and_hold_no_tokens(backends: Backends) -> None:
    async with gateway(backends, LOG_LEVEL="debug") as running:
        headers = {"authorization": "Bearer very-secret"}
        await running.http.get("/api/projects?pageToken=hidden", headers=headers)
        await running.http.get("/api/nope", headers=headers)
        running.process.send_signal(signal.SIGTERM)
        _, err = await running.process.communicate()
    lines = [json.loads(line) for line in err.decode().splitlines() if line.startswith("{")]
    assert any(line["event"] == "serving" for line in lines)
    assert "very-secret" not in err.decode()
    assert "hidden" not in err.decode()

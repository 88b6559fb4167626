"""The service as it is really run: a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kit.testing import eventually, free_port
from protos.sandbox.v1 import sandbox_pb2_grpc
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes

ROOT = Path(__file__).resolve().parents[3]
SECRET = "e2b_never_to_be_told"


def environment(**more: str) -> dict[str, str]:
    kept = {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}
    return {**{name: value for name, value in os.environ.items() if name in kept}, **more}


async def test_it_migrates_serves_and_drains_and_its_sandboxes_stay(
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
    tmp_path: Path,
) -> None:
    keys, port = projects_service.key_folder, free_port()
    env = environment(
        SANDBOX_PORT=str(port),
        SANDBOX_DATABASE_URL=sandbox_urls.sandbox,
        SANDBOX_SERVICE_KEY_FILE=str(keys / "sandbox.jwk"),
        SANDBOX_DEPLOYMENT="process-test",
        SERVICE_KEYS_FILE=str(keys / "services.jwks"),
        PROJECTS_ADDRESS=projects_service.address,
        E2B_API_KEY=SECRET,
        E2B_API_URL=engine.url,
        E2B_SANDBOX_URL=engine.url,
        LOG_LEVEL="debug",
    )
    log = tmp_path / "log"
    user = await projects_service.user()
    project_id = await user.new_project()
    urls = []
    for _ in range(2):
        process = _started(env, log)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await _serving(channel)
                caller = Sandboxes(sandbox_pb2_grpc.SandboxServiceStub(channel), user.token)
                urls.append((await caller.create(project_id)).sandbox_url)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
    assert urls[0] == urls[1]
    said = log.read_text()
    assert '"event": "serving"' in said
    assert SECRET not in said


def _started(env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "services.sandbox"], cwd=ROOT, env=env, stdout=out, stderr=out
        )


async def _serving(channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="sandwright.sandbox.v1.SandboxService")

    async def up() -> bool:
        try:
            answer = await health.Check(request)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    await eventually(up, seconds=60)


def test_a_missing_setting_is_one_clear_line_each() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.sandbox"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    for name in ("E2B_API_KEY", "SANDBOX_DATABASE_URL", "SANDBOX_SERVICE_KEY_FILE"):
        assert f"setting {name}: " in done.stderr
    assert "Traceback" not in done.stderr

"""The service as it is really run: a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import grpc

from kit.testing import free_port
from protos.sandbox.v1 import sandbox_pb2_grpc
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes
from tests.fixtures.sandbox_process import ROOT, environment, service_environment, serving, started

SECRET = "e2b_never_to_be_told"


async def test_it_migrates_serves_and_drains_and_its_sandboxes_stay(
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
    tmp_path: Path,
) -> None:
    port = free_port()
    env = service_environment(sandbox_urls, projects_service, engine, port, E2B_API_KEY=SECRET)
    log = tmp_path / "log"
    user = await projects_service.user()
    project_id = await user.new_project()
    urls = []
    for _ in range(2):
        process = started(env, log)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await serving(channel)
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

"""The template at E2B: what it holds, and that the official SDK builds it, against a server of the build's routes."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from e2b import Template

from services.sandbox.settings import PreviewSettings
from services.sandbox.template import preview_server

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "e2b-template" / "build.py"
KEY = "e2b_0123456789"


@dataclass
class Builds:
    """What was asked of the vendor."""

    url: str
    requested: dict[str, Any] = field(default_factory=dict)
    uploaded: bytes = b""
    started: dict[str, Any] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    builds: Builds

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, status: int, message: object) -> None:
        body = json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("X-API-Key") != KEY:
            self._answer(401, {"code": 401, "message": "no such key"})
        elif self.path == "/v3/templates":
            self.builds.requested = json.loads(body)
            self._answer(
                202,
                {
                    "templateID": "tpl1",
                    "buildID": "bld1",
                    "public": False,
                    "aliases": [],
                    "names": [],
                    "tags": [],
                },
            )
        else:
            assert self.path == "/v2/templates/tpl1/builds/bld1"
            self.builds.started = json.loads(body)
            self._answer(202, {})

    def do_GET(self) -> None:
        if "/files/" in self.path:
            self._answer(201, {"present": False, "url": f"{self.builds.url}/upload"})
        else:
            assert self.path.startswith("/templates/tpl1/builds/bld1/status")
            self._answer(
                200,
                {
                    "templateID": "tpl1",
                    "buildID": "bld1",
                    "status": "ready",
                    "logs": [],
                    "logEntries": [],
                },
            )

    def do_PUT(self) -> None:
        self.builds.uploaded = self._body()
        self._answer(200, {})


@pytest.fixture
def builds() -> Iterator[Builds]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    _Handler.builds = Builds(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield _Handler.builds
    server.shutdown()
    thread.join()
    server.server_close()


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("e2b_template_build", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    dotenv = tmp_path / ".env"
    dotenv.touch()
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"PATH": "/usr/bin:/bin", "SANDWRIGHT_ENV_FILE": str(dotenv), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_has_the_preview_server_and_starts_it(tmp_path: Path) -> None:
    server = preview_server(PreviewSettings())
    described = json.loads(Template.to_json(_script().definition(tmp_path, server)))
    assert described["startCmd"] == server.command
    assert "http://localhost:8000/__sandwright/health" in described["readyCmd"]
    copied = [step["args"] for step in described["steps"] if step["type"] == "COPY"]
    assert copied == [["preview.pyz", server.place, "user", "0644"]]
    assert (tmp_path / "preview.pyz").read_bytes() == server.archive


def test_the_sdk_builds_it_under_the_name_that_the_service_asks_for(
    builds: Builds, tmp_path: Path
) -> None:
    done = _build(tmp_path, E2B_API_KEY=KEY, E2B_API_URL=builds.url)
    assert done.returncode == 0, done.stderr
    assert "SANDBOX_E2B_TEMPLATE=sandwright" in done.stdout
    assert builds.requested["name"] == "sandwright"
    with tarfile.open(fileobj=io.BytesIO(builds.uploaded)) as archive:
        packed = archive.extractfile("preview.pyz")
        assert packed
        assert packed.read() == preview_server(PreviewSettings()).archive
    assert builds.started["startCmd"] == preview_server(PreviewSettings()).command


def test_another_name_is_the_setting_s(builds: Builds, tmp_path: Path) -> None:
    name = {"SANDBOX_E2B_TEMPLATE": "our-sandboxes"}
    assert _build(tmp_path, E2B_API_KEY=KEY, E2B_API_URL=builds.url, **name).returncode == 0
    assert builds.requested["name"] == "our-sandboxes"


def test_a_key_that_is_refused_or_missing_is_told(builds: Builds, tmp_path: Path) -> None:
    refused = _build(tmp_path, E2B_API_KEY="e2b_999", E2B_API_URL=builds.url)
    assert (refused.returncode, refused.stderr) == (
        1,
        "E2B refuses the key: check E2B_API_KEY\n",
    )
    missing = _build(tmp_path)
    assert missing.returncode == 2
    assert "E2B_API_KEY" in missing.stderr

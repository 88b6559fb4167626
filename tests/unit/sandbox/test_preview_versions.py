"""A preview server finds out about others of itself: of another version it takes the place, beside its own it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx

from kit.testing import eventually_sync, free_port
from services.sandbox.preview.bundle import Options, PreviewServer
from tests.unit.sandbox.preview import running


def _server(base: Path, port: int, **options: float) -> PreviewServer:
    served = Options(str(base / "site"), str(base / "drafts"), port, **options)  # type: ignore[arg-type]  # seconds
    server = PreviewServer.of(str(base / "preview.pyz"), served)
    Path(server.place).write_bytes(server.archive)
    return server


def _start(server: PreviewServer) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", server.command], stdout=subprocess.PIPE)


def _health(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/__sandwright/health").text
    except httpx.HTTPError:
        return ""


def _ended(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=30)
    return process.returncode


def test_the_version_is_told_and_is_another_for_other_options(tmp_path: Path) -> None:
    port = free_port()
    first, second = _server(tmp_path, port), _server(tmp_path, port, draft_seconds=1)
    assert first.version != second.version
    assert _server(tmp_path, port) == first
    with running(tmp_path, port):
        assert _health(port) == f"ok {first.version}\n"


def test_one_of_another_version_is_replaced_and_one_of_the_same_stays(tmp_path: Path) -> None:
    port = free_port()
    new = _server(tmp_path, port, draft_seconds=1)
    with running(tmp_path, port) as old:
        starts = [_start(new) for _ in range(4)]
        try:
            eventually_sync(lambda: _health(port) == f"ok {new.version}\n")
            assert old.process.wait(30) == -9
            eventually_sync(lambda: sum(one.poll() is None for one in starts) == 1)
            assert {one.returncode for one in starts} == {0, None}
        finally:
            for one in starts:
                one.kill()
                _ended(one)


def test_of_several_versions_at_once_one_stays(tmp_path: Path) -> None:
    port = free_port()
    servers = [_server(tmp_path, port, draft_seconds=1 + number % 2) for number in range(6)]
    with running(tmp_path, port) as old:
        starts = [_start(one) for one in servers]
        try:
            assert old.process.wait(30) == -9
            eventually_sync(lambda: sum(one.poll() is None for one in starts) == 1)
            assert _health(port) in {f"ok {one.version}\n" for one in servers}
        finally:
            for one in starts:
                one.kill()
                _ended(one)


def test_a_program_of_the_users_on_the_port_is_left_alone(tmp_path: Path) -> None:
    port = free_port()
    other = ["python3", "-m", "http.server", str(port), "--directory", str(tmp_path)]
    theirs = subprocess.Popen(other, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually_sync(lambda: _health(port) != "")
        assert _ended(_start(_server(tmp_path, port))) == 0
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()

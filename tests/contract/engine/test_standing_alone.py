"""The engine as a program: how it starts, refuses, stops, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from e2b import AsyncSandbox, SandboxException

from tests.fixtures.engine import ROOT, RunningEngine, start_engine
from tests.fixtures.jails import groups_of, jails_of, roots_of, until

_NOBODY = 65_534
_VERSION = "import sys; print(sys.version_info[:2])"


def run_engine(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start an engine that should not start; its exit code and what it says."""
    environment = {**os.environ, "LOCAL_SANDBOXES_DATA_DIR": str(tmp_path), **variables}
    return subprocess.run(
        [sys.executable, "-m", "local.sandboxes"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_bubblewrap_it_says_how_to_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    done = run_engine(tmp_path, PATH=str(folder))
    assert done.returncode == 2
    assert "apt-get install bubblewrap" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_where_jails_are_forbidden_it_says_why(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # that the jails' uids can reach
        fake = Path(folder, "bwrap")
        fake.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2; exit 1\n")
        fake.chmod(0o755)
        Path(folder).chmod(0o755)
        done = run_engine(tmp_path, LOCAL_SANDBOXES_BWRAP=str(fake), LOCAL_SANDBOXES_PORT="0")
    assert done.returncode == 2
    assert "setting up uid map: Permission denied" in done.stderr
    assert "namespaces" in done.stderr


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LOCAL_SANDBOXES_PORT": "99999"}, "LOCAL_SANDBOXES_PORT"),
        ({"LOCAL_SANDBOXES_MEMORY_MB": "lots"}, "LOCAL_SANDBOXES_MEMORY_MB"),
        ({"LOCAL_SANDBOXES_PYTHON": "/opt/none"}, "LOCAL_SANDBOXES_PYTHON"),
        ({"LOCAL_SANDBOXES_DATA_DIR": "/proc/nothing/here"}, "LOCAL_SANDBOXES_DATA_DIR"),
        ({"LOCAL_SANDBOXES_LOG_LEVEL": "loud"}, "LOCAL_SANDBOXES_LOG_LEVEL: "),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: "),
        ({"LOCAL_SANDBOXES_TEMPLATES_DIR": "/nothing/here"}, "/nothing/here"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    done = run_engine(tmp_path, **{"LOCAL_SANDBOXES_PORT": "0", **variables})
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_bubblewrap_is_named_with_the_version_that_is_needed(tmp_path: Path) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.6.2\n")
    old.chmod(0o755)
    done = run_engine(tmp_path, LOCAL_SANDBOXES_PORT="0", LOCAL_SANDBOXES_BWRAP=str(old))
    assert done.returncode == 2
    assert "bubblewrap 0.6.2 is too old: the jails need 0.8 or later" in done.stderr


def test_a_port_in_use_and_a_data_directory_in_use_are_named(
    tmp_path: Path, engine: RunningEngine
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_engine(tmp_path, LOCAL_SANDBOXES_PORT=port)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    done = run_engine(engine.data_dir, LOCAL_SANDBOXES_PORT="0")
    assert done.returncode == 2
    assert str(engine.data_dir) in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_sandboxes_and_their_streams(
    tmp_path: Path, number: signal.Signals
) -> None:
    engine = start_engine(tmp_path)
    sandboxes = [await AsyncSandbox.create(timeout=120, **engine.sdk) for _ in range(3)]
    running = [await one.commands.run("sleep 300", background=True) for one in sandboxes]
    jails = jails_of(engine)
    assert len(jails) >= 6
    engine.process.send_signal(number)
    assert await asyncio.to_thread(engine.process.wait, 15) == 0
    assert not [one for one in jails if one.is_running()]
    assert not groups_of(engine)
    for command in running:
        with pytest.raises(Exception, match=r"."):
            await command.wait()
    assert "Traceback" not in engine.log.read_text()


async def test_killing_the_engine_outright_leaves_no_jail_running(tmp_path: Path) -> None:
    engine = start_engine(tmp_path)
    sandbox = await AsyncSandbox.create(timeout=120, **engine.sdk)
    await sandbox.commands.run("setsid nohup sleep 300 & sleep 300", background=True)
    family = psutil.Process(engine.pid).children(recursive=True)
    assert len(family) >= 5
    engine.process.kill()
    engine.process.wait()
    until(lambda: not [one for one in family if one.is_running()])
    until(lambda: not groups_of(engine))


async def test_killing_engine_and_spawner_together_leaves_nothing_for_the_next_one(
    tmp_path: Path,
) -> None:
    engine = start_engine(tmp_path)
    await AsyncSandbox.create(timeout=120, **engine.sdk)
    family = psutil.Process(engine.pid).children(recursive=True)
    spawner = psutil.Process(engine.pid).children()[0]
    os.kill(spawner.pid, signal.SIGSTOP)  # so that it can't tidy up
    engine.process.kill()
    spawner.kill()
    engine.process.wait()
    until(lambda: not [one for one in family if one.is_running()])
    again = start_engine(tmp_path, pool_size=0)
    try:
        assert not groups_of(again)
        assert await (await AsyncSandbox.create(timeout=30, **again.sdk)).is_running()
    finally:
        assert again.stop() == 0


async def test_losing_the_spawner_ends_the_engine_and_says_so(tmp_path: Path) -> None:
    engine = start_engine(tmp_path)
    psutil.Process(engine.pid).children()[0].kill()
    assert await asyncio.to_thread(engine.process.wait, 15) == 1
    assert "spawner" in engine.log.read_text()
    assert not any(root.exists() for root in roots_of(engine))


async def test_a_jail_that_dies_in_the_pool_is_not_given_away(tmp_path: Path) -> None:
    engine = start_engine(tmp_path, pool_size=2)
    try:
        until(lambda: len(jails_of(engine)) >= 4)
        doomed = jails_of(engine)
        for one in doomed:
            one.kill()
        psutil.wait_procs(doomed, 15)
        sandbox = await AsyncSandbox.create(timeout=60, **engine.sdk)
        assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"
    finally:
        assert engine.stop() == 0


async def test_a_sandbox_whose_jail_dies_is_not_found_any_more(tmp_path: Path) -> None:
    engine = start_engine(tmp_path, pool_size=0)
    try:
        sandbox = await AsyncSandbox.create(timeout=60, **engine.sdk)
        for one in jails_of(engine):
            one.kill()
        until(lambda: not jails_of(engine))
        assert not await sandbox.is_running()
        assert not await sandbox.kill()
    finally:
        assert engine.stop() == 0


def python_for_everybody() -> str | None:
    """An interpreter of our version that any user can start, if there is one."""
    for path in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [path, "-c", _VERSION],
                user=_NOBODY,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
        except PermissionError:
            continue
        if done.stdout.strip() == str(sys.version_info[:2]):
            return path
    return None


async def test_an_ordinary_user_can_run_it_with_limits_that_hold_without_control_groups() -> None:
    if os.geteuid() != 0 or python_for_everybody() is None:
        pytest.skip("needs root to become an ordinary user, who can start this Python")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, _NOBODY, _NOBODY)
        engine = start_engine(Path(folder), python_for_everybody(), _NOBODY, pids=64, memory_mb=128)
        try:
            sandbox = await AsyncSandbox.create(timeout=60, **engine.sdk)
            await sandbox.files.write("f", "mine")
            assert (await sandbox.commands.run("cat f; id -u")).stdout == "mine1000\n"
            memory = await sandbox.commands.run("python3 -c 'bytearray(10**9)' 2>&1; true")
            assert "MemoryError" in memory.stdout
            many = "for n in $(seq 100); do sleep 5 & done; echo survived"
            with pytest.raises(SandboxException):
                await sandbox.commands.run(many + "; exit 1", timeout=30)
            assert len(jails_of(engine)) < 64 * 2 + 10
            assert not groups_of(engine)
        finally:
            assert engine.stop() == 0

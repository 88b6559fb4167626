"""``make run`` and ``make demo`` as a person meets them: start, stop, and what they say when they can't."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kit.testing import eventually_sync, free_port
from local.stack.quickstart import commands
from tests.fixtures.stack import PORTS, ROOT, RunningStack, StackFactory, clean_environment

pytestmark = pytest.mark.xdist_group("run")


def _stack(tmp_path: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    ports = {name: str(free_port()) for name in PORTS}
    env = clean_environment(SANDWRIGHT_DATA_DIR=str(tmp_path / "data"), **{**ports, **settings})
    return subprocess.run(
        [sys.executable, "-m", "local.stack", command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_all_and_leaves_no_process_and_no_sandbox(
    start_stack: StackFactory, number: int
) -> None:
    stack = start_stack()
    _quickstart(stack)
    processes = stack.tree()
    processes.append(_postgres(stack))
    assert any(process.name() == "bwrap" for process in processes)
    assert stack.stop(number) == 0
    eventually_sync(lambda: not any(_alive(process) for process in processes))


def _postgres(stack: RunningStack) -> psutil.Process:
    """The database's server, which is nobody's child."""
    file = stack.data_dir / "postgres" / "postmaster.pid"
    return psutil.Process(int(file.read_text().split()[0]))


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _quickstart(stack: RunningStack) -> dict[str, str]:
    """Runs the very lines that are printed when the platform is ready."""
    lines = commands(stack.api)
    said = stack.said()
    assert all(line in said for line in lines)
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    assert answer["previewUrl"].startswith("http://8000-")
    return answer


def test_a_supervisor_that_is_killed_takes_its_processes_with_it(start_stack: StackFactory) -> None:
    stack = start_stack()
    postgres = _postgres(stack)
    processes = [process for process in stack.tree() if process.pid != stack.process.pid]
    stack.process.kill()
    stack.process.wait()
    eventually_sync(lambda: not any(_alive(process) for process in processes), seconds=60)
    # The database is nobody's child: it goes on, and the next start finds it.
    assert _alive(postgres)
    postgres.terminate()


def test_a_port_in_use_is_named_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = _stack(tmp_path, "run", SANDBOX_PORT=port)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"port {port} (sandbox) is in use: stop what uses it, or set SANDBOX_PORT"
    ]


def test_a_bad_setting_of_a_service_ends_the_start_with_its_name(tmp_path: Path) -> None:
    done = _stack(tmp_path, "run", SANDBOX_LIFETIME_SECONDS="an hour")
    assert done.returncode == 2
    assert re.search(r"sandbox +│ setting SANDBOX_LIFETIME_SECONDS:", done.stdout)
    assert done.stderr.splitlines()[-1].startswith("sandbox can't start")


def test_without_bubblewrap_the_start_says_how_to_install_it(tmp_path: Path) -> None:
    done = _stack(tmp_path, "run", LOCAL_SANDBOXES_BWRAP="bwrap-that-is-not-there")
    assert done.returncode == 2
    assert "apt-get install" in done.stdout
    assert "bubblewrap" in done.stdout


def test_the_demo_makes_a_site_and_says_where_it_is(tmp_path: Path) -> None:
    done = _stack(
        tmp_path,
        "demo",
        PROMPT="a landing page for a bakery in Lisbon",
        LOCAL_MODEL_TOKENS_PER_SECOND="0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "index.html" in done.stdout
    assert re.search(r"preview: http://8000-\w+\.localhost:\d+\S*  \(answers 200\)", done.stdout)
    assert re.search(r"\d+ files, [\d,]+ bytes in [\d.]+ s; .* tokens written, .* USD", done.stdout)
    (project,) = (tmp_path / "data" / "demo").iterdir()
    assert "<html" in (project / "index.html").read_text()


def test_the_demo_says_what_is_wrong_with_a_prompt(tmp_path: Path) -> None:
    done = _stack(tmp_path, "demo", PROMPT=" ")
    assert done.returncode == 1
    assert "the API refused: 400: prompt: must not be blank" in done.stdout

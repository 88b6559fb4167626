"""Holding the processes of a group with the kernel's own freezer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.sandboxes.spawner import hierarchy
from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.limits import Limits
from local.sandboxes.spawner.monitor import first_process

LIMITS = Limits(memory_bytes=2**28, disk_bytes=2**20, pids=128, cpus=1.0)

# Writes how often it went round; forks children that do nothing but fork, up to the cap.
_COUNTER = "import os\nn = 0\nwhile True:\n  n += 1\n  os.pwrite(1, b'%20d' % n, 0)\n"
_BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"


@pytest.fixture
def groups() -> Iterator[Cgroups]:
    """Groups of this test's own, gone afterwards with all that is in them."""
    made = hierarchy.find(f"test-{uuid.uuid4().hex[:12]}")
    if not made.available:
        pytest.skip("no control group is writable here")
    made.create("box", LIMITS)
    yield made
    made.clear()
    made.remove()
    assert not any(root.exists() for root in made.roots.values())


def run(groups: Cgroups, source: str, output: Path) -> subprocess.Popen[bytes]:
    """A program in the group."""
    with output.open("wb") as target:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", source],
            stdout=target,
            preexec_fn=lambda: groups.join("box"),
        )


def count(output: Path) -> int:
    return int(output.read_bytes() or b"0")


def goes_on(output: Path) -> bool:
    before, end = count(output), time.monotonic() + 30
    while time.monotonic() < end:
        if count(output) > before:
            return True
        time.sleep(0.01)
    return False


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_all_but_the_kept_stand_still_and_run_again(groups: Cgroups, tmp_path: Path) -> None:
    held, kept = (run(groups, _COUNTER, tmp_path / name) for name in ("held", "kept"))
    assert goes_on(tmp_path / "held")
    assert groups.hold("box", keep={kept.pid})
    stopped_at = count(tmp_path / "held")
    assert goes_on(tmp_path / "kept")
    assert goes_on(tmp_path / "kept")
    assert count(tmp_path / "held") == stopped_at
    assert state(held.pid) not in "Tt"  # no SIGSTOP that a parent could see
    groups.release("box")
    groups.release("box")
    assert goes_on(tmp_path / "held")
    for one in (held, kept):
        one.kill()
        one.wait()


def test_a_fork_bomb_is_held_too_and_can_be_cleared_while_it_is(
    groups: Cgroups, tmp_path: Path
) -> None:
    bomb = run(groups, _BOMB, tmp_path / "bomb")
    kept = run(groups, _COUNTER, tmp_path / "kept")
    assert goes_on(tmp_path / "kept")
    assert groups.hold("box", keep={kept.pid}, seconds=60)
    assert goes_on(tmp_path / "kept")
    assert not groups.destroy("box")
    assert groups.clear(deadline_seconds=60) == 1
    assert bomb.wait() == kept.wait() == -9
    assert groups.destroy("box")


def test_the_first_process_is_the_monitors_child() -> None:
    monitor = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    assert monitor.stdout is not None
    child = int(monitor.stdout.readline())
    assert first_process(monitor.pid) == child
    os.kill(child, 9)
    monitor.wait()
    monitor.stdout.close()
    assert first_process(monitor.pid) is None

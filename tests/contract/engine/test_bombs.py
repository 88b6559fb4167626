"""Sandboxes that try to take everything, also where fewer limits can be set.

Each test runs on three engines: with control groups, as root without them, as an ordinary user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox, SandboxException

from tests.fixtures.engine import RunningEngine, start_engine

_NOBODY = 65_534
_VERSION = "import sys; print(sys.version_info[:2])"
_LIMITS: dict[str, Any] = {"pids": 64, "memory_mb": 160, "disk_mb": 32, "pool_size": 0}

# An interpreter for an engine that finds no control group it could write to.
_WITHOUT_GROUPS = """\
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs -o ro none /sys/fs/cgroup && exec {python} "$@"' sh "$@"
"""


def without_groups(folder: Path) -> str:
    wrapper = folder / "python"
    wrapper.write_text(_WITHOUT_GROUPS.format(python=sys.executable))
    wrapper.chmod(stat.S_IRWXU)
    return str(wrapper)


def for_everybody() -> str | None:
    """An interpreter of our version that any user can start, if there is one."""
    for path in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(PermissionError):
            done = subprocess.run(
                [path, "-c", _VERSION], user=_NOBODY, cwd="/", capture_output=True, text=True
            )
            if done.stdout.strip() == str(sys.version_info[:2]):
                return path
    return None


@pytest.fixture(scope="module", params=["groups", "own uid alone", "ordinary user"])
def engine(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if request.param == "groups":
            running = start_engine(folder, **_LIMITS)
        elif os.geteuid() != 0:
            pytest.skip("only root can have an engine of another kind")
        elif request.param == "own uid alone":
            running = start_engine(folder / "data", without_groups(folder), **_LIMITS)
        else:
            python = for_everybody()
            if python is None:
                pytest.skip("no interpreter that an ordinary user can start")
            os.chown(folder, _NOBODY, _NOBODY)
            running = start_engine(folder, python, _NOBODY, **_LIMITS)
        assert ("no writable cgroup" in running.log.read_text()) == (request.param != "groups")
        yield running
        assert running.stop() == 0


@pytest.fixture
async def neighbour(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    """A sandbox that must not notice."""
    made = await AsyncSandbox.create(timeout=300, **engine.sdk)
    await made.files.write("mine.txt", "untouched")
    yield made
    await made.kill()


async def answers(engine: RunningEngine, neighbour: AsyncSandbox) -> None:
    """The engine makes sandboxes, and the neighbour works."""
    assert await neighbour.files.read("mine.txt") == "untouched"
    assert (await neighbour.commands.run("echo ok", timeout=60)).stdout == "ok\n"
    fresh = await AsyncSandbox.create(timeout=60, **engine.sdk)
    assert await fresh.is_running()
    await fresh.kill()


# Each goes on until its parent ends it or it has said "held".
BOMBS = {
    "processes": """
import os
while True:
    try: os.fork()
    except OSError: pass
""",
    "threads": """
import threading, time
try:
    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
except (RuntimeError, MemoryError): print("held", flush=True)
time.sleep(1000)
""",
    "orphans": """
import os
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            try: os.fork()
            finally: os._exit(0)
    except OSError: pass
""",
    "memory": """
held = []
try:
    while True: held.append(bytearray(10**6))
except MemoryError:
    print("held", flush=True)
    while True: pass
""",
    "disk": """
import os
for folder in ("/", "/tmp", "/dev/shm", "/home/user", "/var/tmp"):
    try:
        with open(folder + "/fill", "wb", 0) as file:
            while True: file.write(bytes(2**20))
    except OSError: pass
print("held", flush=True)
""",
    "attributes": """
import os
open("/tmp/many", "w").close()
try:
    for n in range(5000): os.setxattr("/tmp/many", f"user.e2b.{n}", bytes(60000))
except OSError: pass
print("held", flush=True)
""",
    "descriptors": """
import os, time
held = []
try:
    while True: held += os.pipe()
except OSError: print("held", flush=True)
time.sleep(1000)
""",
    "notifications": """
import ctypes, time
libc = ctypes.CDLL(None)
while libc.inotify_init() >= 0: pass
print("held", flush=True)
time.sleep(1000)
""",
    "signals": """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
libc = __import__("ctypes").CDLL(None)
for n in range(200000):
    if libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), 0): break
print("held", flush=True)
while True: signal.pause()
""",
    "files": """
import os
os.mkdir("/tmp/n")
try:
    for n in range(20000): open(f"/tmp/n/{n}", "w").close()
except OSError: pass
print("held", flush=True)
""",
}


@pytest.mark.parametrize("bomb", BOMBS.keys())
async def test_a_bomb_harms_its_own_sandbox_alone(
    engine: RunningEngine, neighbour: AsyncSandbox, bomb: str
) -> None:
    sandbox = await AsyncSandbox.create(timeout=300, **engine.sdk)
    await sandbox.files.write("/tmp/bomb.py", BOMBS[bomb])
    held = asyncio.Event()
    command = await sandbox.commands.run(
        "exec python3 /tmp/bomb.py", background=True, timeout=0, on_stdout=lambda _: held.set()
    )
    # Some say when they hold all that they get, some are killed for it, some never end.
    waiting = [asyncio.ensure_future(held.wait()), asyncio.ensure_future(ended(command.wait()))]
    await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    await answers(engine, neighbour)
    assert await sandbox.is_running()
    with contextlib.suppress(SandboxException):  # full is full, but it says so
        await sandbox.files.list("/tmp", depth=2)
        await sandbox.files.read("/tmp/bomb.py")
    assert await sandbox.kill()
    await asyncio.gather(*waiting[1:])
    waiting[0].cancel()
    await answers(engine, neighbour)


async def ended(waiting: Awaitable[object]) -> None:
    """The command's end, whichever it is."""
    with contextlib.suppress(Exception):
        await waiting

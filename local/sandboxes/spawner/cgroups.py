"""Control groups, version 1 or 2, whichever this machine lets us write.

Every sandbox gets one directory per hierarchy below ``<our own group>/<name of this engine>``.
Directories outlive a killed engine; the next one with the same name clears them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.spawner.limits import Limits

CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Usage:
    """What a sandbox uses now: CPU seconds since its start, bytes of memory, of them page cache."""

    cpu_seconds: float
    memory_bytes: int
    cache_bytes: int


class Cgroups:
    """The groups of one engine: ``roots`` maps a controller to the directory that holds them.

    In version 2 all controllers share one directory.
    """

    def __init__(self, roots: dict[str, Path], version: int) -> None:
        self.roots = roots
        self.version = version

    @property
    def available(self) -> bool:
        """Whether memory and process counts are capped by groups."""
        return bool(self.roots)

    def _directories(self, sandbox: str) -> Iterator[Path]:
        for root in dict.fromkeys(self.roots.values()):
            yield root / sandbox

    def create(self, sandbox: str, limits: Limits) -> None:
        """Make the groups of one sandbox and write its caps."""
        for directory in self._directories(sandbox):
            directory.mkdir(exist_ok=True)
        for name, value in self._caps(limits):
            path = self.roots[name.partition(".")[0]] / sandbox / name
            if path.exists():  # swap accounting is a matter of the kernel's configuration
                _write(path, value)

    def _caps(self, limits: Limits) -> list[tuple[str, str]]:
        quota = str(int(limits.cpus * CPU_PERIOD_US))
        memory, pids = str(limits.memory_bytes), str(limits.pids)
        if self.version == 2:
            return [
                ("memory.max", memory),
                ("memory.swap.max", "0"),
                ("pids.max", pids),
                ("cpu.max", f"{quota} {CPU_PERIOD_US}"),
            ]
        return [
            ("memory.limit_in_bytes", memory),
            ("pids.max", pids),
            ("cpu.cfs_period_us", str(CPU_PERIOD_US)),
            ("cpu.cfs_quota_us", quota),
        ]

    def join(self, sandbox: str) -> None:
        """Move the calling process into the groups of ``sandbox``."""
        for directory in self._directories(sandbox):
            _write(directory / "cgroup.procs", "0")

    def destroy(self, sandbox: str) -> bool:
        """Remove the groups of a sandbox; False while a process is still in one."""
        gone = True
        for directory in self._directories(sandbox):
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

    def freeze(self, sandbox: str, *, frozen: bool) -> bool:
        """Stop, or let run, every process of a sandbox; False where the kernel has no freezer."""
        if not self.available:
            return False
        if self.version == 2:
            return _try(self.roots["memory"] / sandbox / "cgroup.freeze", "1" if frozen else "0")
        if "freezer" not in self.roots:
            return False
        state = "FROZEN" if frozen else "THAWED"
        return _try(self.roots["freezer"] / sandbox / "freezer.state", state)

    def usage(self, sandbox: str) -> Usage | None:
        """What ``sandbox`` uses, or None where no group says."""
        if not self.available:
            return None
        try:
            return self._usage_v2(sandbox) if self.version == 2 else self._usage_v1(sandbox)
        except (OSError, KeyError, ValueError):
            return None

    def _usage_v2(self, sandbox: str) -> Usage:
        root = self.roots["memory"] / sandbox
        cpu = _table(root / "cpu.stat")["usage_usec"] / 1e6
        cache = _table(root / "memory.stat")["file"]
        return Usage(cpu, int((root / "memory.current").read_text()), cache)

    def _usage_v1(self, sandbox: str) -> Usage:
        memory = self.roots["memory"] / sandbox
        cpu = 0.0
        if "cpuacct" in self.roots:
            cpu = int((self.roots["cpuacct"] / sandbox / "cpuacct.usage").read_text()) / 1e9
        cache = _table(memory / "memory.stat")["cache"]
        return Usage(cpu, int((memory / "memory.usage_in_bytes").read_text()), cache)

    def clear(self, deadline_seconds: float = 5.0) -> int:
        """End what an earlier engine of the same name left behind; answers how many groups."""
        left = {child.name for root in self.roots.values() for child in _children(root)}
        for root in dict.fromkeys(self.roots.values()):
            for child in _children(root):
                _kill_all(child)
        end = time.monotonic() + deadline_seconds
        waiting = set(left)
        while waiting and time.monotonic() < end:
            waiting = {name for name in waiting if not self.destroy(name)}
            if waiting:
                time.sleep(0.01)
        return len(left)

    def remove(self) -> None:
        """Remove the engine's own directories; what still holds a sandbox stays."""
        for root in dict.fromkeys(self.roots.values()):
            with contextlib.suppress(OSError):
                root.rmdir()


def _kill_all(directory: Path) -> None:
    with contextlib.suppress(OSError):
        _write(directory / "freezer.state", "THAWED")  # a frozen process can't die
    with contextlib.suppress(OSError):
        for line in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(line), signal.SIGKILL)


def _children(root: Path) -> list[Path]:
    try:
        return [child for child in root.iterdir() if child.is_dir()]
    except OSError:
        return []


def _table(path: Path) -> dict[str, int]:
    lines = path.read_text().splitlines()
    return {key: int(value) for key, value in (line.split() for line in lines)}


def _write(path: Path, text: str) -> None:
    # Plain system calls: Path.write_text truncates and buffers, which cgroup files do not like.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _try(path: Path, text: str) -> bool:
    try:
        _write(path, text)
    except OSError:
        return False
    return True

"""Control groups, version 1 or 2, whichever this machine lets us write.

Every sandbox gets one directory per hierarchy below ``<our own group>/<name of this engine>``.
Directories outlive a killed engine; the next one with the same name clears them. Below the one that
can be frozen there may be one more, ``held``: see Cgroups.hold.
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
_HELD = "held"
_HOLD_SECONDS = 5.0
_POLL_SECONDS = 0.002
_CLEAR_SECONDS = 0.01


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
            # With the root: the spawner of an engine that was killed may have taken it away behind us.
            directory.mkdir(parents=True, exist_ok=True)
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
        """Move the calling process, which has one thread, into the groups of ``sandbox``."""
        # As a thread: to move a whole process the kernel waits until no process at all is forking
        # or ending, which takes it some 15 ms. Version 2 has no such way into a group with limits.
        name = "cgroup.procs" if self.version == 2 else "tasks"
        for directory in self._directories(sandbox):
            _write(directory / name, "0")

    def destroy(self, sandbox: str) -> bool:
        """Remove the groups of a sandbox; False while a process is still in one."""
        gone = True
        for directory in self._directories(sandbox):
            gone = _remove(directory / _HELD) and _remove(directory) and gone
        return gone

    def freeze(self, sandbox: str, *, frozen: bool) -> bool:
        """Stop, or let run, every process of a sandbox; False where the kernel has no freezer."""
        directory = self._freezable(sandbox)
        return directory is not None and self._set_frozen(directory, frozen=frozen)

    def hold(self, sandbox: str, keep: set[int], seconds: float = _HOLD_SECONDS) -> bool:
        """Stop every process of a sandbox but ``keep`` (pids of this machine), unseen by them.

        What a kept process starts meanwhile runs. True once all the others stand still; False, and
        all run, where the kernel has no freezer or they do not stop within ``seconds``. It waits
        (a few milliseconds as a rule), so call it in a thread. ``release`` undoes it.
        """
        directory = self._freezable(sandbox)
        if directory is None:
            return False
        held = directory / _HELD
        with contextlib.suppress(OSError):
            held.mkdir(exist_ok=True)
            # Frozen first: whoever is moved in stops there, so that even a fork bomb runs dry.
            if self._set_frozen(held, frozen=True):
                end = time.monotonic() + seconds
                if _gather(directory, held, keep, end) and self._stands_still(held, end):
                    return True
        self.release(sandbox)
        return False

    def release(self, sandbox: str) -> None:
        """Let run again what ``hold`` stopped; nothing happens where nothing is held."""
        directory = self._freezable(sandbox)
        if directory is None or not (directory / _HELD).is_dir():
            return
        held = directory / _HELD
        self._set_frozen(held, frozen=False)
        with contextlib.suppress(OSError):
            _gather(held, directory, set(), time.monotonic() + _HOLD_SECONDS)
        _remove(held)

    def let_die(self, sandbox: str) -> None:
        """Let run whatever of a sandbox is stopped: a process that is frozen can't be killed."""
        directory = self._freezable(sandbox)
        if directory is not None:
            for one in (directory / _HELD, directory):
                self._set_frozen(one, frozen=False)

    def _freezable(self, sandbox: str) -> Path | None:
        root = self.roots.get("memory" if self.version == 2 else "freezer")
        return root / sandbox if root is not None else None

    def _set_frozen(self, directory: Path, *, frozen: bool) -> bool:
        if self.version == 2:
            return _try(directory / "cgroup.freeze", "1" if frozen else "0")
        return _try(directory / "freezer.state", "FROZEN" if frozen else "THAWED")

    def _stands_still(self, directory: Path, end: float) -> bool:
        while not self._is_frozen(directory):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _is_frozen(self, directory: Path) -> bool:
        if self.version == 2:
            return _table(directory / "cgroup.events")["frozen"] == 1
        return (directory / "freezer.state").read_text().strip() == "FROZEN"

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
        end = time.monotonic() + deadline_seconds
        waiting = set(left)
        while waiting and time.monotonic() < end:
            # Again and again: what was just starting may have started something since.
            for name in waiting:
                for directory in self._directories(name):
                    _kill_all(directory)
            waiting = {name for name in waiting if not self.destroy(name)}
            if waiting:
                time.sleep(_CLEAR_SECONDS)
        return len(left)

    def remove(self) -> None:
        """Remove the engine's own directories; what still holds a sandbox stays."""
        for root in dict.fromkeys(self.roots.values()):
            with contextlib.suppress(OSError):
                root.rmdir()


def _gather(source: Path, target: Path, keep: set[int], end: float) -> bool:
    """Move every process but ``keep`` from one group to another, until none is left to move."""
    while pids := _pids(source) - keep:
        if time.monotonic() > end:
            return False
        # One that has just ended can't be moved, and will not be listed again.
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                _write(target / "cgroup.procs", str(pid))
    return True


def _pids(directory: Path) -> set[int]:
    return {int(line) for line in (directory / "cgroup.procs").read_text().split()}


def _remove(directory: Path) -> bool:
    """Whether a group is gone; False while a process is in it."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill_all(directory: Path) -> None:
    if (directory / _HELD).is_dir():
        _kill_all(directory / _HELD)
    for name, running in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        _try(directory / name, running)  # a process that is frozen by version 1 can't die
    with contextlib.suppress(OSError):
        for pid in _pids(directory):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


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

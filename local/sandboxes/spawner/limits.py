"""What one jail may use, and what a process is told before it becomes a jail."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Caps of one sandbox: bytes of memory and of disk, processes, CPU cores."""

    memory_bytes: int
    disk_bytes: int
    pids: int
    cpus: float
    open_files: int = 4096

    def apply_rlimits(self, capped_by_cgroup: bool, own_uid: bool) -> None:
        """Set what the kernel counts per process; also the fallback where no cgroup is writable.

        The process count is per uid, so it is only set where the jail has a uid of its own.
        """
        # Not 0: a kernel that hands core dumps to a program of the machine's does so at 0 too.
        _set(resource.RLIMIT_CORE, 1)
        _set(resource.RLIMIT_NOFILE, self.open_files)
        if own_uid:
            _set(resource.RLIMIT_NPROC, self.pids + 8)
        if not capped_by_cgroup:
            _set(resource.RLIMIT_DATA, self.memory_bytes)


def drop_privileges(uid: int) -> None:
    """Become ``uid`` for good, with no supplementary group."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _set(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))

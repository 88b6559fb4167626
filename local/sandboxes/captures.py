"""Copying a running machine's files while everything else in it stands still."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from local.sandboxes import errors, trees
from local.sandboxes.machine import Machine
from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.monitor import first_process

# An archive has heads and padding of its own beside the files.
_OVERHEAD_FACTOR, _OVERHEAD_BYTES = 2, 64 * 1024 * 1024


class Captures:
    """``disk_bytes`` is the cap of a sandbox's disk."""

    def __init__(self, groups: Cgroups, disk_bytes: int) -> None:
        self._groups = groups
        self._limit = disk_bytes * _OVERHEAD_FACTOR + _OVERHEAD_BYTES

    async def capture(self, machine: Machine, target: Path) -> None:
        """Pack a machine's tree into ``target``, or leave nothing there; raises what ``trees`` does."""
        try:
            with machine.processes.still():
                async with self._held(machine):
                    await trees.capture(machine.processes, target, self._limit)
        except OSError as exc:
            _remove(target)
            raise errors.InternalError(f"cannot copy the sandbox's files: {exc.strerror}") from exc
        except BaseException:
            _remove(target)
            raise

    @contextlib.asynccontextmanager
    async def _held(self, machine: Machine) -> AsyncIterator[None]:
        """Without a freezer the files are copied while programs go on writing them."""
        jail = machine.jail
        keep = {jail.pid, first_process(jail.pid) or jail.pid}
        try:
            await asyncio.to_thread(self._groups.hold, jail.name, keep)
            yield
        finally:
            await asyncio.shield(asyncio.to_thread(self._groups.release, jail.name))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()

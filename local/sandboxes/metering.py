"""What a sandbox uses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from local.sandboxes.machine import Machine
from local.sandboxes.spawner.cgroups import Cgroups


@dataclass(frozen=True)
class Metrics:
    """What one sandbox uses: CPU in percent of one core, the rest in bytes."""

    timestamp: float
    cpu_percent: float
    memory_used: int
    memory_cache: int
    disk_used: int
    disk_total: int


class Meter:
    """Percent of CPU are those since the last time that somebody asked."""

    def __init__(self, groups: Cgroups) -> None:
        self._groups = groups
        self._cpu_seen: WeakKeyDictionary[Machine, tuple[float, float]] = WeakKeyDictionary()

    async def measure(self, machine: Machine) -> Metrics:
        """One measurement of now; memory and CPU are 0 where nothing counts them."""
        used, total = await machine.disk()
        usage = self._groups.usage(machine.jail.name)
        now = time.monotonic()
        percent = 0.0
        if usage is not None:
            before, then = self._cpu_seen.get(machine, (0.0, now))
            percent = 100.0 * (usage.cpu_seconds - before) / (now - then) if now > then else 0.0
            self._cpu_seen[machine] = (usage.cpu_seconds, now)
        return Metrics(
            timestamp=time.time(),
            cpu_percent=round(percent, 2),
            memory_used=usage.memory_bytes - usage.cache_bytes if usage else 0,
            memory_cache=usage.cache_bytes if usage else 0,
            disk_used=used,
            disk_total=total,
        )

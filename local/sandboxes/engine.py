"""All sandboxes of this engine: made, found, listed, ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from local.sandboxes import errors
from local.sandboxes.jail import Jailer
from local.sandboxes.model import OnTimeout, Order, State, new_identity
from local.sandboxes.pool import Pool
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.limits import Limits

log = structlog.get_logger(__name__)

_PAUSED = "the sandbox was paused"
_KILLED = "the sandbox was killed or reached its end of life"


@dataclass(frozen=True)
class Metrics:
    """What one sandbox uses: CPU in percent of one core, the rest in bytes."""

    timestamp: float
    cpu_percent: float
    memory_used: int
    memory_cache: int
    disk_used: int
    disk_total: int


@dataclass(frozen=True)
class Caps:
    """What the engine allows: sandboxes at once, seconds to live, the caps of each."""

    max_sandboxes: int
    max_timeout: int
    limits: Limits


class Engine:
    """The use cases of the control plane, whoever speaks to it."""

    def __init__(self, jailer: Jailer, pool: Pool, groups: Cgroups, caps: Caps) -> None:
        self._jailer = jailer
        self._pool = pool
        self._groups = groups
        self._sandboxes: dict[str, Sandbox] = {}
        self._starting = 0
        self._endings: set[asyncio.Task[None]] = set()
        self._cpu_seen: dict[str, tuple[float, float]] = {}
        self.caps = caps

    async def create(self, order: Order) -> Sandbox:
        """A running sandbox; raises InvalidError, ExhaustedError or UnavailableError."""
        self._check_timeout(order.timeout)
        if len(self._sandboxes) + self._starting >= self.caps.max_sandboxes:
            raise errors.ExhaustedError(
                f"this engine runs at most {self.caps.max_sandboxes} sandboxes at once"
            )
        self._starting += 1
        try:
            jail = await self._pool.take()
        finally:
            self._starting -= 1
        sandbox = Sandbox(new_identity(jail.name), order, jail, self._time_is_up)
        jail.on_ended = lambda why: self._lost(sandbox, why)
        self._sandboxes[sandbox.sandbox_id] = sandbox
        log.info("sandbox created", sandbox=sandbox.sandbox_id, timeout=order.timeout)
        return sandbox

    def get(self, sandbox_id: str) -> Sandbox:
        """A sandbox by its id; raises SandboxNotFoundError."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise errors.SandboxNotFoundError(sandbox_id)
        return sandbox

    def running(self, sandbox_id: str) -> Sandbox:
        """A sandbox that a request can use; one that wakes by itself is woken.

        Raises SandboxNotFoundError for a paused one too, as the vendor's proxy does.
        """
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED:
            if not sandbox.order.auto_resume:
                raise errors.SandboxNotFoundError(sandbox_id)
            self._resume(sandbox, sandbox.order.timeout)
        return sandbox

    def all(self) -> list[Sandbox]:
        """Every sandbox, the newest first."""
        found = list(self._sandboxes.values())
        return sorted(
            found, key=lambda one: (one.identity.started_at, one.sandbox_id), reverse=True
        )

    def set_timeout(self, sandbox_id: str, seconds: int) -> None:
        """End a sandbox ``seconds`` from now, sooner or later than before."""
        self._check_timeout(seconds)
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED:
            raise errors.ConflictError(f"Sandbox {sandbox_id} is paused: connect to it first")
        sandbox.set_timeout(seconds)

    def connect(self, sandbox_id: str, seconds: int) -> tuple[Sandbox, bool]:
        """A sandbox that lives at least ``seconds`` from now, and whether it had to be resumed."""
        self._check_timeout(seconds)
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED:
            self._resume(sandbox, seconds)
            return sandbox, True
        if seconds > sandbox.seconds_left:
            sandbox.set_timeout(seconds)
        return sandbox, False

    def pause(self, sandbox_id: str) -> None:
        """Stop a sandbox where it stands, in memory, until somebody connects to it.

        Raises ConflictError when it is paused, UnsupportedError where the kernel can't freeze.
        """
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED:
            raise errors.ConflictError(f"Sandbox {sandbox_id} is already paused")
        if not self._groups.freeze(sandbox_id, frozen=True):
            raise errors.UnsupportedError("pausing needs a writable control group with a freezer")
        log.info("sandbox paused", sandbox=sandbox_id)
        sandbox.paused(_PAUSED)

    def _resume(self, sandbox: Sandbox, seconds: int) -> None:
        self._groups.freeze(sandbox.sandbox_id, frozen=False)
        sandbox.resumed(seconds)
        log.info("sandbox resumed", sandbox=sandbox.sandbox_id, timeout=seconds)

    def kill(self, sandbox_id: str) -> None:
        """End a sandbox. It is unknown at once; its processes are gone a moment later."""
        self._end(self.get(sandbox_id), "killed")

    async def metrics(self, sandbox_id: str) -> Metrics | None:
        """What a sandbox uses now; None while it is paused."""
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED:
            return None
        used, total = await sandbox.disk()
        usage = self._groups.usage(sandbox_id)
        now = time.monotonic()
        percent = 0.0
        if usage is not None:
            before, then = self._cpu_seen.get(sandbox_id, (0.0, now))
            percent = 100.0 * (usage.cpu_seconds - before) / (now - then) if now > then else 0.0
            self._cpu_seen[sandbox_id] = (usage.cpu_seconds, now)
        return Metrics(
            timestamp=time.time(),
            cpu_percent=round(percent, 2),
            memory_used=usage.memory_bytes - usage.cache_bytes if usage else 0,
            memory_cache=usage.cache_bytes if usage else 0,
            disk_used=used,
            disk_total=total,
        )

    def _check_timeout(self, seconds: int) -> None:
        if seconds < 0:
            raise errors.InvalidError("timeout: must not be negative")
        if seconds > self.caps.max_timeout:
            raise errors.InvalidError(
                f"timeout: cannot be greater than {self.caps.max_timeout} seconds"
            )

    def _time_is_up(self, sandbox: Sandbox) -> None:
        if sandbox.order.on_timeout is OnTimeout.PAUSE:
            try:
                self.pause(sandbox.sandbox_id)
            except errors.UnsupportedError as exc:
                log.warning("cannot pause", sandbox=sandbox.sandbox_id, why=exc.message)
            else:
                return
        self._end(sandbox, "expired")

    def _lost(self, sandbox: Sandbox, why: str) -> None:
        """Its jail ended by itself, or because we ended it."""
        if self._sandboxes.get(sandbox.sandbox_id) is sandbox:
            log.warning("sandbox lost", sandbox=sandbox.sandbox_id, why=why)
            self._end(sandbox, "lost")

    def _end(self, sandbox: Sandbox, reason: str) -> None:
        # The route goes first, the streams second: who is cut off and asks whether the sandbox
        # still runs must hear that it does not.
        if self._sandboxes.pop(sandbox.sandbox_id, None) is None:
            return
        self._cpu_seen.pop(sandbox.sandbox_id, None)
        log.info("sandbox closed", sandbox=sandbox.sandbox_id, reason=reason)
        sandbox.close(_KILLED)
        ending = asyncio.get_running_loop().create_task(self._jailer.end(sandbox.jail))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """End every sandbox and the pool, and wait until nothing of them is left."""
        for sandbox in self.all():
            self._end(sandbox, "engine stopped")
        await self._pool.close()
        await asyncio.gather(*self._endings)

"""All sandboxes of this engine: made, found, listed, ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from local.sandboxes import errors
from local.sandboxes.captures import Captures
from local.sandboxes.machine import Machine
from local.sandboxes.machines import Machines
from local.sandboxes.metering import Meter, Metrics
from local.sandboxes.model import Identity, OnTimeout, Order, State, new_id, new_identity
from local.sandboxes.parking import Parking
from local.sandboxes.pauses import Pauses
from local.sandboxes.pool import Pool
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.snapshots import Snapshot, Snapshots
from local.sandboxes.sources import Sources
from local.sandboxes.spawner.limits import Limits
from local.sandboxes.templates import Template

log = structlog.get_logger(__name__)

_KILLED = "the sandbox was killed or reached its end of life"
_MAX_FORKS = 100


@dataclass(frozen=True)
class Caps:
    """What the engine allows: sandboxes at once, seconds to live, the caps of each.

    ``keep_seconds``: how long a stop may take to put sandboxes to disk.
    """

    max_sandboxes: int
    max_timeout: int
    keep_seconds: float
    limits: Limits


@dataclass(frozen=True)
class Parts:
    """What the engine works with; ``copies`` is a folder for what is needed for a moment."""

    machines: Machines
    pools: dict[str, Pool]
    captures: Captures
    pauses: Pauses
    parking: Parking
    snapshots: Snapshots
    meter: Meter
    copies: Path


class Engine:
    """The use cases of the control plane, whoever speaks to it."""

    def __init__(self, parts: Parts, caps: Caps) -> None:
        self._parts = parts
        self.sources = Sources(parts.pools, parts.snapshots)
        self._sandboxes: dict[str, Sandbox] = {}
        self._starting = 0
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.caps = caps

    def start(self) -> None:
        """Take up what an earlier engine kept, and begin to fill the pools."""
        for parked in self._parts.parking.load():
            template = self.sources.template(parked.template)
            sandbox = self._new(parked.identity, parked.order, template)
            if parked.interrupted:
                left = parked.order.timeout
                sandbox.interrupted(parked.ends_at - time.time() if parked.ends_at else left)
            log.info("sandbox taken up", sandbox=sandbox.sandbox_id, state=sandbox.state.value)
        for pool in self._parts.pools.values():
            pool.start()

    async def create(self, order: Order) -> Sandbox:
        """A running sandbox.

        Raises InvalidError, NotFoundError for an unknown template, ExhaustedError, and what making
        a machine raises.
        """
        self._check_timeout(order.timeout)
        template, tree = self.sources.of(order.template)
        with self._place():
            if tree is None:
                machine = await self._parts.pools[template.name].take()
            else:
                machine = await self._parts.machines.make(template, tree=tree)
            return self._begin(order, machine)

    def get(self, sandbox_id: str) -> Sandbox:
        """A sandbox by its id; raises SandboxNotFoundError."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise errors.SandboxNotFoundError(sandbox_id)
        return sandbox

    def running(self, sandbox_id: str) -> Sandbox:
        """A sandbox that a request can use now; raises SandboxNotFoundError, SandboxPausedError."""
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED or sandbox.machine is None:
            raise errors.SandboxPausedError(sandbox_id)
        return sandbox

    async def wake(self, sandbox_id: str) -> Sandbox:
        """As ``running``, after one that a request wakes is resumed."""
        sandbox = self.get(sandbox_id)
        if sandbox.wakes:
            paused = sandbox.state is State.PAUSED
            await self._resume(sandbox, sandbox.order.timeout if paused else None)
        return self.running(sandbox_id)

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
        self._keep_note(sandbox)

    def refresh(self, sandbox_id: str, seconds: int) -> None:
        """Let a sandbox live at least ``seconds`` from now."""
        if seconds > self.get(sandbox_id).seconds_left:
            self.set_timeout(sandbox_id, seconds)

    async def connect(
        self, sandbox_id: str, seconds: int, *, reboot: bool = False
    ) -> tuple[Sandbox, bool]:
        """A sandbox that lives at least ``seconds`` from now, and whether it had to be resumed.

        ``reboot``: a paused one begins from its files alone.
        """
        self._check_timeout(seconds)
        sandbox = self.get(sandbox_id)
        paused = sandbox.state is State.PAUSED
        left = 0.0 if paused else sandbox.seconds_left
        resumed = await self._resume(sandbox, max(seconds, left), reboot=reboot)
        if not resumed and seconds > sandbox.seconds_left:
            sandbox.set_timeout(seconds)
        return sandbox, resumed and paused

    async def pause(self, sandbox_id: str, *, memory: bool = True) -> None:
        """Stop a sandbox until somebody connects to it: as it stands, or with its files alone.

        Raises ConflictError when it is paused, UnsupportedError where the kernel can't freeze.
        """
        await self._parts.pauses.pause(await self._used(sandbox_id), memory=memory)

    async def snapshot(self, sandbox_id: str, name: str = "") -> Snapshot:
        """Keep a sandbox's files, to make others from; it runs on. Raises ConflictError for a paused one."""
        self.sources.refuse_taken(name)
        sandbox = await self._used(sandbox_id)
        snapshots = self._parts.snapshots
        async with sandbox.changing:
            with (
                _told_when_gone(sandbox),
                snapshots.making(sandbox_id, sandbox.template.name, name) as planned,
            ):
                await self._parts.captures.capture(_unpaused(sandbox), snapshots.tree(planned))
                snapshots.put(planned)
        sandbox.note(f"copied to snapshot {planned.snapshot_id}")
        log.info("snapshot made", sandbox=sandbox_id, snapshot=planned.snapshot_id)
        return planned

    async def fork(
        self, sandbox_id: str, count: int, seconds: int
    ) -> list[Sandbox | errors.EngineError]:
        """``count`` new sandboxes with a sandbox's files, or for each the reason why there is none."""
        self._check_timeout(seconds)
        if not 1 <= count <= _MAX_FORKS:
            raise errors.InvalidError(f"count: must be from 1 to {_MAX_FORKS}")
        sandbox = await self._used(sandbox_id)
        tree = self._parts.copies / f"{new_id('c')}.tar"
        try:
            async with sandbox.changing:
                with _told_when_gone(sandbox):
                    await self._parts.captures.capture(_unpaused(sandbox), tree)
            order = replace(sandbox.order, timeout=seconds)
            forks = [self._fork_one(sandbox, order, tree) for _ in range(count)]
            return await asyncio.gather(*forks)
        finally:
            tree.unlink(missing_ok=True)

    async def _fork_one(
        self, source: Sandbox, order: Order, tree: Path
    ) -> Sandbox | errors.EngineError:
        try:
            with self._place():
                machine = await self._parts.machines.make(source.template, tree=tree)
                return self._begin(order, machine)
        except errors.EngineError as exc:
            return exc
        except Exception:
            log.exception("a fork failed", sandbox=source.sandbox_id)
            return errors.InternalError("the fork could not be made")

    def kill(self, sandbox_id: str) -> None:
        """End a sandbox. It is unknown at once; its processes are gone a moment later."""
        self._end(self.get(sandbox_id), "killed")

    async def metrics(self, sandbox_id: str) -> Metrics | None:
        """What a sandbox uses now; None while it is paused."""
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.PAUSED or sandbox.machine is None:
            return None
        return await self._parts.meter.measure(sandbox.machine)

    async def close(self) -> None:
        """Put to disk what can be, end everything, and wait until nothing of it is left."""
        self._closing = True  # from now on nothing begins that would only be lost
        await self._parts.pauses.keep_all(self.all(), self.caps.keep_seconds)
        for sandbox in self.all():
            if sandbox.machine is not None:
                self._end(sandbox, "engine stopped")
        await asyncio.gather(*(pool.close() for pool in self._parts.pools.values()))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Room for one more while it is being made; raises ExhaustedError, UnavailableError."""
        self._check_open()
        if len(self._sandboxes) + self._starting >= self.caps.max_sandboxes:
            raise errors.ExhaustedError(
                f"this engine runs at most {self.caps.max_sandboxes} sandboxes at once"
            )
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def _new(self, identity: Identity, order: Order, template: Template) -> Sandbox:
        sandbox = Sandbox(identity, order, template, self._time_is_up, self._lost)
        self._sandboxes[sandbox.sandbox_id] = sandbox
        return sandbox

    def _begin(self, order: Order, machine: Machine) -> Sandbox:
        if machine.jail.ended.is_set():
            raise errors.UnavailableError("the sandbox ended as soon as it was made")
        sandbox = self._new(new_identity(machine.sandbox_id), order, machine.template)
        sandbox.begin(machine, order.timeout)
        # Once the caller has its answer: a line takes as long as all the rest.
        asyncio.get_running_loop().call_soon(
            functools.partial(
                log.info, "sandbox created", sandbox=sandbox.sandbox_id, timeout=order.timeout
            )
        )
        return sandbox

    async def _used(self, sandbox_id: str) -> Sandbox:
        """A sandbox for a call that needs it as it was before the engine's last stop."""
        sandbox = self.get(sandbox_id)
        if sandbox.state is State.RUNNING and sandbox.machine is None:
            await self._resume(sandbox, None)
        return sandbox

    async def _resume(
        self, sandbox: Sandbox, seconds: float | None, *, reboot: bool = False
    ) -> bool:
        self._check_open()
        return await self._parts.pauses.resume(sandbox, seconds, reboot=reboot)

    def _check_open(self) -> None:
        if self._closing:
            raise errors.UnavailableError("the engine stops")

    def _keep_note(self, sandbox: Sandbox) -> None:
        """What lies on the disk is to be taken up by the next engine as it is now."""
        if sandbox.machine is None and not sandbox.gone.is_set():
            runs = sandbox.state is State.RUNNING
            ends = runs and sandbox.order.on_timeout is OnTimeout.KILL
            ends_at = time.time() + sandbox.seconds_left if ends else None
            self._parts.parking.put(sandbox, interrupted=runs, ends_at=ends_at)

    def _check_timeout(self, seconds: int) -> None:
        if seconds < 0:
            raise errors.InvalidError("timeout: must not be negative")
        if seconds > self.caps.max_timeout:
            raise errors.InvalidError(
                f"timeout: cannot be greater than {self.caps.max_timeout} seconds"
            )

    def _time_is_up(self, sandbox: Sandbox) -> None:
        if sandbox.order.on_timeout is OnTimeout.KILL:
            self._end(sandbox, "expired")
        elif sandbox.machine is not None:
            self._in_background(self._pause_at_its_end(sandbox))
        else:
            sandbox.paused("")  # its files are on the disk already
            self._keep_note(sandbox)

    async def _pause_at_its_end(self, sandbox: Sandbox) -> None:
        """The way that was asked for, else the other one: it is to be kept if there is a way."""
        memory = sandbox.order.pause_memory
        for way in (memory, not memory):
            try:
                await self._parts.pauses.pause(sandbox, memory=way, at_its_end=way is memory)
            except (errors.ConflictError, errors.SandboxNotFoundError):
                return  # somebody else was faster
            except errors.EngineError as exc:
                log.warning("cannot pause", sandbox=sandbox.sandbox_id, memory=way, why=exc.message)
            except Exception:
                log.exception("cannot pause", sandbox=sandbox.sandbox_id, memory=way)
            else:
                return
        self._end(sandbox, "expired")

    def _lost(self, sandbox: Sandbox, why: str) -> None:
        """Its jail ended by itself."""
        if self._sandboxes.get(sandbox.sandbox_id) is sandbox:
            log.warning("sandbox lost", sandbox=sandbox.sandbox_id, why=why)
            self._end(sandbox, "lost")

    def _end(self, sandbox: Sandbox, reason: str) -> None:
        # The route goes first, the streams second: who is cut off and asks whether the sandbox
        # still runs must hear that it does not.
        if self._sandboxes.get(sandbox.sandbox_id) is not sandbox:
            return
        del self._sandboxes[sandbox.sandbox_id]
        log.info("sandbox closed", sandbox=sandbox.sandbox_id, reason=reason)
        sandbox.close(_KILLED)
        if sandbox.machine is not None:
            self._in_background(self._parts.machines.end(sandbox.machine, _KILLED))
        else:
            self._parts.parking.drop(sandbox.sandbox_id)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _unpaused(sandbox: Sandbox) -> Machine:
    """Its machine; raises ConflictError for a paused one."""
    if sandbox.state is State.PAUSED:
        raise errors.ConflictError(f"Sandbox {sandbox.sandbox_id} is paused: connect to it first")
    return sandbox.running


@contextlib.contextmanager
def _told_when_gone(sandbox: Sandbox) -> Iterator[None]:
    """What fails because the sandbox was killed meanwhile fails with that."""
    try:
        yield
    except errors.EngineError as exc:
        if sandbox.gone.is_set():
            raise errors.SandboxNotFoundError(sandbox.sandbox_id) from exc
        raise

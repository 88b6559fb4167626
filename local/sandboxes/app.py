"""The composition root: settings in, a running engine and its ASGI application out."""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

import structlog

from local.sandboxes import bundle, preflight, seccomp
from local.sandboxes.asgi import App
from local.sandboxes.captures import Captures
from local.sandboxes.control.http import Defaults
from local.sandboxes.control.routes import ControlPlane
from local.sandboxes.engine import Caps, Engine, Parts
from local.sandboxes.envd.app import EnvdApp
from local.sandboxes.errors import EngineError
from local.sandboxes.jail import Jailer
from local.sandboxes.machines import Machines
from local.sandboxes.metering import Meter
from local.sandboxes.model import new_id
from local.sandboxes.parking import Parking
from local.sandboxes.pauses import Pauses
from local.sandboxes.pool import Pool
from local.sandboxes.preview.dialling import Dialler
from local.sandboxes.preview.proxy import Proxy
from local.sandboxes.routing import Router
from local.sandboxes.settings import Settings
from local.sandboxes.snapshots import Snapshots
from local.sandboxes.spawner.limits import Limits
from local.sandboxes.spawning import Plan, Spawning, Uids
from local.sandboxes.templates import Template, load

log = structlog.get_logger(__name__)

_MB = 1024 * 1024


@dataclass
class Running:
    """An engine that serves, and what the HTTP server needs of it."""

    asgi: App
    previews: Proxy
    engine: Engine
    spawning: Spawning
    lock: int

    async def close(self) -> None:
        """End every jail and the spawner."""
        await self.engine.close()
        await self.spawning.close()
        os.close(self.lock)


async def build(settings: Settings, port: int) -> Running:
    """Start what serves ``port``; raises preflight.UnfitError when this machine can't."""
    preflight.require_linux()
    bwrap = preflight.find_bwrap(settings.bwrap)
    python = preflight.find_python(settings.python)
    lock = _lock(settings.data_dir)
    templates = load(settings.templates_dir, settings.data_dir / "templates")
    _raise_descriptor_limit()
    name = hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:12]
    limits = Limits(settings.memory_mb * _MB, settings.disk_mb * _MB, settings.pids, settings.cpus)
    plan = Plan(f"sandboxes-{name}", bwrap, python, limits, seccomp.program(), bundle.build(python))
    try:
        spawning = await Spawning.begin(plan)
    except (EngineError, OSError, TimeoutError) as exc:
        raise preflight.UnfitError(f"the spawner did not start: {str(exc) or 'no answer'}") from exc
    jailer = Jailer(spawning, _uids(name), settings.boot_timeout)
    try:
        await _try(jailer)
    except EngineError as exc:
        await spawning.close()
        raise preflight.UnfitError(_why(exc, bwrap)) from exc
    if not spawning.groups.available:
        log.warning("no writable cgroup: memory is capped per process only, CPU not at all")
    engine = _engine(settings, limits, jailer, spawning, templates)
    engine.start()
    dialler = Dialler(engine, settings.port_wait)
    defaults = Defaults(settings.default_timeout, settings.legacy_default_timeout)
    control = ControlPlane(engine, settings.api_key, settings.public_domain(port), defaults)
    router = Router(engine, control, EnvdApp(engine))
    return Running(router, Proxy(dialler), engine, spawning, lock)


def _engine(
    settings: Settings,
    limits: Limits,
    jailer: Jailer,
    spawning: Spawning,
    templates: dict[str, Template],
) -> Engine:
    machines = Machines(jailer)
    captures = Captures(spawning.groups, limits.disk_bytes)
    parking = Parking(settings.data_dir / "paused")
    pools = {
        name: Pool(machines, one, settings.pool_size if one.pool is None else one.pool)
        for name, one in templates.items()
    }
    parts = Parts(
        machines=machines,
        pools=pools,
        captures=captures,
        pauses=Pauses(machines, spawning.groups, captures, parking),
        parking=parking,
        snapshots=Snapshots(settings.data_dir / "snapshots", settings.max_snapshots),
        meter=Meter(spawning.groups),
        copies=_emptied(settings.data_dir / "copies"),
    )
    caps = Caps(settings.max_sandboxes, settings.max_timeout, settings.keep_seconds, limits)
    return Engine(parts, caps)


def _emptied(folder: Path) -> Path:
    """A folder of our own, without what an engine that was killed left there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.glob("*.tar"):
        path.unlink()
    return folder


async def _try(jailer: Jailer) -> None:
    """One jail, to learn now and not at the first create whether this machine allows them."""
    await jailer.end(await jailer.boot(new_id()))


def _why(exc: EngineError, bwrap: str) -> str:
    return (
        f"cannot start a jail with bubblewrap {preflight.bwrap_version(bwrap)}: {exc.message}. "
        "Unprivileged user namespaces must be allowed (in a container: security options "
        "seccomp=unconfined, apparmor=unconfined and systempaths=unconfined; on Ubuntu: "
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
    ).replace("\n", " ")


def _uids(name: str) -> Uids:
    first = preflight.first_uid(int(name, 16))
    if first is None:
        log.warning("not root: all sandboxes share this user's uid")
        return Uids(None, 0)
    return Uids(first, preflight.uid_count(first))


def _lock(data_dir: Path) -> int:
    """One engine a data directory: a second would clear the first one's jails away."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise preflight.UnfitError(
            f"cannot write to {data_dir}: {exc.strerror}: set LOCAL_SANDBOXES_DATA_DIR"
        ) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise preflight.UnfitError(
            f"another engine uses {data_dir}: stop it, or set LOCAL_SANDBOXES_DATA_DIR"
        ) from exc
    return descriptor


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

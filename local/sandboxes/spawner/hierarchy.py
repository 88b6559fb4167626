"""Finding a place in the machine's control groups where we may make our own."""

from __future__ import annotations

import os
from pathlib import Path

from local.sandboxes.spawner.cgroups import Cgroups

_V1_NEEDED = ("memory", "pids", "cpu")
_V1_WELCOME = ("cpuacct", "freezer")
_V2_NEEDED = ("memory", "pids", "cpu")


def find(
    name: str, mounts: Path = Path("/proc/self/mounts"), own: Path = Path("/proc/self/cgroup")
) -> Cgroups:
    """The groups called ``name`` below our own; without any where none is writable."""
    try:
        mounted, member = _mounted(mounts.read_text()), _membership(own.read_text())
    except OSError:
        return Cgroups({}, 0)
    return (
        _version_one(name, mounted, member) or _version_two(name, mounted, member) or Cgroups({}, 0)
    )


def _mounted(text: str) -> dict[str, Path]:
    """Controller → mount point; version 2 is under the empty name."""
    found: dict[str, Path] = {}
    for line in text.splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2":
            found.setdefault("", Path(point))
        elif kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), Path(point)))
    return found


def _membership(text: str) -> dict[str, str]:
    """Controller → our own group's path below the mount point."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _version_one(name: str, mounted: dict[str, Path], member: dict[str, str]) -> Cgroups | None:
    roots: dict[str, Path] = {}
    for controller in (*_V1_NEEDED, *_V1_WELCOME):
        root = _claim(mounted.get(controller), member.get(controller, "/"), name)
        if root is not None:
            roots[controller] = root
        elif controller in _V1_NEEDED:
            for made in roots.values():
                made.rmdir()
            return None
    return Cgroups(roots, 1)


def _claim(mount: Path | None, own: str, name: str) -> Path | None:
    """A directory of ours in one hierarchy: below our own group, else at the top."""
    if mount is None:
        return None
    # Inside a container the mount may already be our own group: then the path is not below it.
    for parent in (mount / own.lstrip("/"), mount):
        try:
            (parent / name).mkdir(exist_ok=True)
        except OSError:
            continue
        return parent / name
    return None


def _version_two(name: str, mounted: dict[str, Path], member: dict[str, str]) -> Cgroups | None:
    mount = mounted.get("")
    if mount is None:
        return None
    for parent in (mount / member.get("", "/").lstrip("/"), mount):
        if _delegate(parent):
            root = _claim(parent, "", name)
            if root is not None and _delegate(root):
                return Cgroups(dict.fromkeys(_V2_NEEDED, root), 2)
    return None


def _delegate(group: Path) -> bool:
    """Let children of ``group`` have the controllers, leaving it ourselves if we have to.

    Version 2 forbids a group that distributes controllers to hold processes of its own.
    """
    if _enable(group):
        return True
    leaf = group / "sandbox-engine"
    try:
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return _enable(group)


def _enable(group: Path) -> bool:
    control = group / "cgroup.subtree_control"
    try:
        missing = set(_V2_NEEDED) - set(control.read_text().split())
        if missing:
            control.write_text(" ".join(f"+{controller}" for controller in sorted(missing)))
    except OSError:
        return False
    return True

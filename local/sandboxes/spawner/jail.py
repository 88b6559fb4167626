"""The command line of one jail, and the step from a forked child to bubblewrap."""

from __future__ import annotations

import ctypes
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.limits import Limits, drop_privileges

AGENT = "/run/agent"
_PR_SET_NO_NEW_PRIVS = 38
_CONTROL, _SECCOMP, _BUNDLE, _BOOT, _FIRST_FREE = 3, 4, 5, 6, 7
# Paths inside the jail, where nobody else writes.
_SHARED_MEMORY, _TEMPORARY = "/dev/shm", "/tmp"  # noqa: S108
_SHARED_MEMORY_BYTES = 64 * 1024 * 1024

# What programs expect to read of the host's configuration; nothing in it is private.
_FROM_ETC = (
    "ssl/certs",
    "ssl/openssl.cnf",
    "alternatives",
    "ld.so.cache",
    "localtime",
    "mime.types",
)

# A boot id names the machine; the kernel's command line can hold whatever its owner put there.
_BOOT_ID, _KERNEL_ARGUMENTS = "/proc/sys/kernel/random/boot_id", "/proc/cmdline"

_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64")

# Below /, without it: what in a jail's tree is not the jail's own.
MOUNTED = (
    "dev",
    "proc",
    "sys",
    "usr",
    AGENT[1:],
    *_SYSTEM_FOLDERS,
    *(f"etc/{one}" for one in _FROM_ETC),
)


@dataclass(frozen=True)
class Recipe:
    """What all jails of an engine have in common."""

    bwrap: str
    python: str
    limits: Limits
    seccomp: int
    bundle: int

    def command(self, hostname: str, pids: int) -> list[str]:
        """The arguments of bubblewrap for one jail; ``pids`` is a cap for the agent to set, or 0."""
        return [
            self.bwrap,
            *_isolation(hostname),
            *self._tree(),
            *("--seccomp", str(_SECCOMP)),
            *("--chdir", "/"),
            "--",
            *(self.python, "-I", "-S", "-B", AGENT, str(_CONTROL), hostname, str(pids)),
        ]

    def _tree(self) -> list[str]:
        """One sized tmpfs holds all that a sandbox can write, so that one number caps its disk."""
        tree = ["--size", str(self.limits.disk_bytes), "--tmpfs", "/", "--ro-bind", "/usr", "/usr"]
        for name in _SYSTEM_FOLDERS:
            tree += _system_folder(name)
        for name in _FROM_ETC:
            tree += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        tree += [*_kernel_files(), "--dev", "/dev"]
        tree += ["--perms", "1777", "--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", _SHARED_MEMORY]
        tree += ["--remount-ro", "/dev", "--perms", "1777", "--dir", _TEMPORARY]
        return [*tree, "--perms", "0444", "--ro-bind-data", str(_BUNDLE), AGENT]


def _isolation(hostname: str) -> list[str]:
    return [
        *("--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"),
        *("--disable-userns", "--cap-drop", "ALL", "--hostname", hostname),
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
    ]


def _kernel_files() -> list[str]:
    """A /proc of the jail's own, in which nothing names this machine."""
    return [
        *("--proc", "/proc", "--dev-bind", "/dev/null", _KERNEL_ARGUMENTS),
        *("--perms", "0444", "--ro-bind-data", str(_BOOT), _BOOT_ID),
    ]


def _system_folder(name: str) -> list[str]:
    path = Path("/", name)
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def launch(
    recipe: Recipe, groups: Cgroups, sandbox: str, uid: int | None, control: int, errors: int
) -> int:
    """Fork, and turn the child into the jail ``sandbox``; answers its pid on this machine."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(errors, 2)
        _become(recipe, groups, sandbox, uid, control)
    except BaseException as exc:  # noqa: BLE001 -- a forked child must end here, whatever it is
        os.write(2, f"{type(exc).__name__}: {exc}".encode())
    os._exit(127)


def _become(
    recipe: Recipe, groups: Cgroups, sandbox: str, uid: int | None, control: int
) -> NoReturn:
    if groups.available:
        groups.join(sandbox)
    recipe.limits.apply_rlimits(capped_by_cgroup=groups.available, own_uid=uid is not None)
    # A descriptor of its own for each jail: bubblewrap reads from where the last reader stopped.
    seccomp, bundle = (
        os.open(f"/proc/self/fd/{one}", os.O_RDONLY) for one in (recipe.seccomp, recipe.bundle)
    )
    _arrange_descriptors([control, seccomp, bundle, _boot_id()])
    if uid is not None:
        drop_privileges(uid)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    # bubblewrap's monitor hangs when its child dies while SIGCHLD is not at its default.
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    # Without a uid or a group of its own, a jail's processes can only be counted from inside.
    counted = recipe.limits.pids if uid is None and not groups.available else 0
    os.execve(recipe.bwrap, recipe.command(sandbox, counted), {})  # noqa: S606 -- no shell is wanted


def _boot_id() -> int:
    """A file with a random id, as the kernel writes it."""
    descriptor = os.memfd_create("boot")
    os.write(descriptor, Path("/proc/sys/kernel/random/uuid").read_bytes())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _arrange_descriptors(wanted: list[int]) -> None:
    """Put ``wanted`` at 3, 4, 5…, nothing at 0 and 1, leave 2, and close all others."""
    # First out of the way: a wanted descriptor may sit where another one goes.
    moved = [_above(one) for one in wanted]
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for target, source in enumerate(moved, start=_CONTROL):
        os.dup2(source, target)
    os.closerange(_FIRST_FREE, 2**31 - 1)


def _above(descriptor: int) -> int:
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64)

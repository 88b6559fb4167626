"""What this machine must have, asked before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
_OLDEST = "3.9"
_OLDEST_BWRAP = (0, 8)

# The top of the range that neither distributions nor container tools hand out.
_PREFERRED_UID = 1_879_048_192
_UIDS = 8192
_SLOTS = 16_384


class UnfitError(Exception):
    """The engine can't run here; the message says what to do, in one line."""


def require_linux() -> None:
    if sys.platform != "linux":
        raise UnfitError(
            "the local sandbox engine needs Linux: set E2B_API_KEY to use E2B's own sandboxes, "
            "or run it in a container with `docker compose up`"
        )


def find_bwrap(name: str) -> str:
    """The absolute path of bubblewrap, if it is new enough."""
    found = shutil.which(name)
    if found is None:
        raise UnfitError(
            f"bubblewrap ({name}) is not installed: run `apt-get install bubblewrap` "
            "(Fedora: `dnf install bubblewrap`, Alpine: `apk add bubblewrap`), or set E2B_API_KEY"
        )
    path = str(Path(found).absolute())
    version = bwrap_version(path)
    if version[:1].isdigit() and _numbers(version) < _OLDEST_BWRAP:
        raise UnfitError(
            f"bubblewrap {version} is too old: the jails need "
            f"{'.'.join(str(one) for one in _OLDEST_BWRAP)} or later"
        )
    return path


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split(".") if one.isdigit())


def find_python(wanted: str) -> str:
    """The interpreter of the jails: below /usr, which is all that they see of this machine."""
    for path in [wanted] if wanted else _PYTHONS:
        if path.startswith("/usr/") and os.access(path, os.X_OK):
            return path
    raise UnfitError(
        f"no Python for the jails at {wanted or ' or '.join(_PYTHONS)}: install python3 "
        f"(at least {_OLDEST}), or name one below /usr in LOCAL_SANDBOXES_PYTHON"
    )


def first_uid(slot: int) -> int | None:
    """The first uid of a range of ours, or None where we may not change uids.

    ``slot`` spreads engines that share a machine over different ranges.
    """
    if os.geteuid() != 0:
        return None
    start = _PREFERRED_UID + (slot % _SLOTS) * _UIDS
    if _mapped(start + _UIDS - 1):
        return start
    # Inside a user namespace (rootless containers) there are few uids: take the top half of them.
    for start in (60_000, 40_000, 20_000):
        if _mapped(start + 4_000):
            return start
    return None


def uid_count(start: int) -> int:
    return _UIDS if start >= _PREFERRED_UID else 4_000


def _mapped(uid: int) -> bool:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= uid < first + count:
            return True
    return False


def bwrap_version(bwrap: str) -> str:
    done = subprocess.run(  # noqa: S603 -- the path that find_bwrap answered
        [bwrap, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip().removeprefix("bubblewrap ")

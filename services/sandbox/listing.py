"""Shell commands that tell of the files in a folder of a sandbox, and what they print. GNU find and coreutils."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from services.sandbox.model import Scan, Seen

MISSING = 44
"""The exit code where the folder is not there."""
INCOMPLETE = 45
"""The exit code where some of it could not be read."""
# One argument of a program may have 128 KiB; the command is one.
_COMMAND_BYTES = 64 * 1024
_SEEN = r"-printf '%y %s %T@ %C@ %i %p\0'"
_IGNORED = r"-printf 'I 0 0 0 0 %p\0'"


def scan(folder: str, ignored: Collection[str]) -> str:
    """Lists what is in a folder. What is ignored is named, and not looked into."""
    # A file that vanishes while it is looked at is no failure.
    listed = _find(folder, ignored, "-ignore_readdir_race", _SEEN, _IGNORED)
    return f"{listed} || exit {INCOMPLETE}"


def scanned(printed: str, *, complete: bool) -> Scan:
    """What ``scan`` printed."""
    files: dict[str, Seen] = {}
    kinds: dict[str, set[str]] = {"d": set(), "I": set(), "": set()}
    for line in printed.split("\0"):
        if line:
            kind, size, modified, changed, inode, path = line.split(" ", 5)
            if kind == "f":
                at = datetime.fromtimestamp(float(modified), UTC)
                files[path] = Seen(int(size), at, f"{size} {modified} {changed} {inode}")
            else:
                kinds[kind if kind in kinds else ""].add(path)
    others, folders, ignored = (frozenset(kinds[kind]) for kind in ("", "d", "I"))
    return Scan(files, others, complete, folders, ignored)


def hashes(folder: str, ignored: Collection[str]) -> str:
    """Hashes the regular files in a folder, and what links to such."""
    # -z: names end with NUL and are not escaped, whatever they hold. 123: a file was gone before its turn came.
    # A pipe would be waited for.
    found = _find(folder, ignored, "", "-xtype f -print0")
    return f"{found} | xargs -0 -r sha256sum -z -- || [ $? -eq 123 ]"


def hashes_of(paths: Sequence[str]) -> Iterator[str]:
    """Hashes these files, with as many commands as it takes."""
    batch: list[str] = []
    size = 0
    for path in paths:
        quoted = shlex.quote(path)
        if batch and size + len(quoted.encode()) > _COMMAND_BYTES:
            yield _hash(batch)
            batch, size = [], 0
        batch.append(quoted)
        size += len(quoted.encode()) + 1
    if batch:
        yield _hash(batch)


def hashed(printed: str) -> dict[str, str]:
    """What the commands that hash have printed: hashes by path."""
    return {line[66:]: line[:64] for line in printed.split("\0") if line}


def _find(
    folder: str, ignored: Collection[str], option: str, action: str, instead: str = ""
) -> str:
    """``instead``: what is done with that which is ignored."""
    names = " -o ".join(f"-name {shlex.quote(name)}" for name in ignored)
    prune = rf"\( {names} \) -prune {instead} -o" if names else ""
    place = shlex.quote(folder)
    return f"[ -d {place} ] || exit {MISSING}; find {place} {option} -mindepth 1 {prune} {action}"


def _hash(quoted: Sequence[str]) -> str:
    # 1: a file was gone before its turn came.
    return f"sha256sum -z -- {' '.join(quoted)} || [ $? -eq 1 ]"

"""Paths as the SDK writes them: absolute, below the user's home, or with a leading ``~``."""

from __future__ import annotations

import os

from . import errors

_PATH_MAX, _NAME_MAX = 4096, 255
HOMES = {"user": "/home/user", "root": "/root"}


def home(user: str) -> str:
    """The home directory of ``user``; the jail knows ``user`` and ``root`` alone."""
    found = HOMES.get(user or "user")
    if found is None:
        raise errors.AgentError("unauthenticated", f"invalid username: '{user}'")
    return found


def resolve(path: str, user: str) -> str:
    """``path`` as an absolute one, without following symlinks."""
    base = home(user)
    if "\0" in path:
        raise errors.AgentError(errors.INVALID, "path contains a NUL character")
    if path == "~" or path.startswith("~/"):
        path = base + path[1:]
    elif path.startswith("~"):
        raise errors.AgentError(errors.INVALID, f"cannot expand user-specific home dir in '{path}'")
    path = os.path.normpath(os.path.join(base, path))
    if len(os.fsencode(path)) >= _PATH_MAX or max(map(_bytes, path.split("/"))) > _NAME_MAX:
        raise errors.AgentError(
            errors.INVALID, f"path is longer than {_PATH_MAX - 1} bytes, or a name in it than 255"
        )
    return path


def _bytes(name: str) -> int:
    return len(os.fsencode(name))


def ensure_parents(path: str) -> None:
    """Make the directories above ``path`` that are missing."""
    ensure_directory(os.path.dirname(path))


def ensure_directory(path: str) -> None:
    """Make ``path`` and what is missing above it; a file in the way is an error."""
    try:
        _make_all(path)
    except FileExistsError:
        raise errors.AgentError(errors.INVALID, f"path is a file: {path}") from None
    except NotADirectoryError:
        raise errors.AgentError(errors.INVALID, f"a parent of the path is a file: {path}") from None
    except OSError as exc:
        raise errors.from_os_error(exc, f"cannot create directory {path}") from None


def _make_all(path: str) -> None:
    """os.makedirs without recursion: a path can have more parts than Python's stack has room."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        _make(one)


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if not os.path.isdir(path):  # else somebody was faster
            raise

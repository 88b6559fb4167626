"""Paths as the SDK writes them: absolute, below the user's home, or with a leading ``~``."""

from __future__ import annotations

import os

from . import errors

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
    return os.path.normpath(os.path.join(base, path))


def ensure_parents(path: str) -> None:
    """Make the directories above ``path`` that are missing."""
    ensure_directory(os.path.dirname(path))


def ensure_directory(path: str) -> None:
    """Make ``path`` and what is missing above it; a file in the way is an error."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except FileExistsError:
        raise errors.AgentError(errors.INVALID, f"path is a file: {path}") from None
    except NotADirectoryError:
        raise errors.AgentError(errors.INVALID, f"a parent of the path is a file: {path}") from None
    except OSError as exc:
        raise errors.from_os_error(exc, f"cannot create directory {path}") from None

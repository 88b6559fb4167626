"""File calls. Each runs inside the jail, so a symlink can lead no further than the jail's own tree."""

from __future__ import annotations

import os

from . import entries, errors, paths

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = tuple[list[bytes], list[int]]

# Opening must never wait: for a pipe's other end, nor for the holder of a lease.
_NEVER_BLOCK = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KERNEL_BYTES = 1024 * 1024


def read(user: str, path: str) -> Answer:
    """Open a regular file; answers its path, size and modification time, and the descriptor."""
    path = paths.resolve(path, user)
    try:
        descriptor = os.open(path, os.O_RDONLY | _NEVER_BLOCK)
    except FileNotFoundError:
        raise errors.AgentError(errors.NOT_FOUND, f"path '{path}' does not exist") from None
    except OSError as exc:
        raise errors.from_os_error(exc, f"error opening file '{path}'") from None
    info = _regular(descriptor, path)
    if _of_the_kernel(info):
        descriptor = _copied(descriptor, path)
        info = os.fstat(descriptor)
    return [os.fsencode(path), b"%d" % info.st_size, b"%d" % info.st_mtime_ns], [descriptor]


def write(user: str, path: str) -> Answer:
    """Open a file for writing, its directories made; answers its path, and the descriptor."""
    path = paths.resolve(path, user)
    paths.ensure_parents(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _NEVER_BLOCK, 0o644)
    except IsADirectoryError:
        raise errors.AgentError(errors.INVALID, f"path is a directory: {path}") from None
    except OSError as exc:
        raise errors.from_os_error(exc, f"error opening file '{path}'") from None
    if _of_the_kernel(_regular(descriptor, path)):
        os.close(descriptor)
        raise errors.AgentError(
            errors.DENIED, f"path '{path}' is the kernel's: write to it with a command"
        )
    return [os.fsencode(path)], [descriptor]


def stat(user: str, path: str) -> Answer:
    """One entry."""
    return [entries.describe(paths.resolve(path, user))], []


def make(user: str, path: str) -> Answer:
    """Make a directory and what is missing above it."""
    path = paths.resolve(path, user)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        paths.ensure_directory(path)
        return [entries.describe(path)], []
    except OSError as exc:
        raise errors.from_os_error(exc, f"error getting file info for {path}") from None
    if entries.is_directory(mode):
        raise errors.AgentError(errors.EXISTS, f"directory already exists: {path}")
    raise errors.AgentError(
        errors.INVALID, f"path already exists but it is not a directory: {path}"
    )


def move(user: str, source: str, destination: str) -> Answer:
    """Rename a file or directory, making the directories above its new place."""
    source, destination = paths.resolve(source, user), paths.resolve(destination, user)
    if not os.path.lexists(source):
        raise errors.AgentError(errors.NOT_FOUND, f"source file not found: {source}")
    paths.ensure_parents(destination)
    try:
        os.rename(source, destination)
    except OSError as exc:
        raise errors.from_os_error(exc, f"error renaming {source} to {destination}") from None
    return [entries.describe(destination)], []


def remove(user: str, path: str) -> Answer:
    """Remove a file, or a directory with all that it holds; a missing one is no error."""
    path = paths.resolve(path, user)
    try:
        if entries.is_directory(os.lstat(path).st_mode):
            _remove_tree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        if os.path.lexists(path):  # else it was never there: a part of its path is a file
            raise errors.from_os_error(exc, f"error removing file or directory {path}") from None
    return [], []


def walk(user: str, path: str, depth: int) -> Iterator[bytes]:
    """The entries below a directory in lexical order, ``depth`` levels of them."""
    path = paths.resolve(path, user)
    try:
        if not entries.is_directory(os.stat(path).st_mode):
            raise errors.AgentError(errors.INVALID, f"path is not a directory: {path}")
        yield from _walk(os.path.realpath(path), depth)
    except FileNotFoundError:
        raise errors.AgentError(errors.NOT_FOUND, f"directory not found: {path}") from None
    except OSError as exc:
        raise errors.from_os_error(exc, f"error reading directory {path}") from None


def _walk(top: str, depth: int) -> Iterator[bytes]:
    """Without recursion, as below: what a jail nests may be deeper than Python's stack."""
    stack = [(top, 0)]
    while stack:
        path, level = stack.pop()
        try:
            if level:
                yield entries.describe(path)
            if level < depth and entries.is_directory(os.lstat(path).st_mode):
                names = sorted(os.listdir(path), reverse=True)
                stack += [(os.path.join(path, name), level + 1) for name in names]
        except (errors.AgentError, FileNotFoundError):
            continue  # it went away between the listing and the look


class _IfThere:
    """Suppresses that something does not exist; contextlib costs a jail's start too much."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, FileNotFoundError)


_IF_THERE = _IfThere()


def _remove_tree(path: str) -> None:
    """Depth first, without recursion: a jail can nest directories deeper than Python's stack.

    What somebody else removes meanwhile is as good as removed here.
    """
    stack = [path]
    while stack:
        below = _clear(stack[-1])
        if below:
            stack += below
            continue
        with _IF_THERE:
            os.rmdir(stack[-1])
        stack.pop()


def _clear(directory: str) -> list[str]:
    """Remove the files of a directory; answers the directories that it holds."""
    below = []
    with _IF_THERE, os.scandir(directory) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
                continue
            with _IF_THERE:
                os.unlink(entry.path)
    return below


def _of_the_kernel(info: os.stat_result) -> bool:
    """Whether a file is of /proc: what it says and does depends on who reads and writes it."""
    return info.st_dev == os.stat("/proc").st_dev


def _copied(source: int, path: str) -> int:
    """A file in memory with what ``source`` says to this process; closes ``source``."""
    try:
        parts, size = [], 0
        while part := os.read(source, _KERNEL_BYTES):
            parts.append(part)
            size += len(part)
            if size > _KERNEL_BYTES:
                raise errors.AgentError(
                    errors.EXHAUSTED,
                    f"path '{path}' is the kernel's and longer than {_KERNEL_BYTES} bytes",
                )
        copy = os.memfd_create("copy")
    except OSError as exc:
        raise errors.from_os_error(exc, f"error reading file '{path}'") from None
    finally:
        os.close(source)
    try:
        for part in parts:
            os.write(copy, part)
    except OSError as exc:
        os.close(copy)
        raise errors.from_os_error(exc, f"error reading file '{path}'") from None
    return copy


def _regular(descriptor: int, path: str) -> os.stat_result:
    info = os.fstat(descriptor)
    if entries.is_regular(info.st_mode):
        return info
    os.close(descriptor)
    kind = "is a directory" if entries.is_directory(info.st_mode) else "is not a regular file"
    raise errors.AgentError(errors.INVALID, f"path '{path}' {kind}")

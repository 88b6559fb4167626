"""Directories watched for changes, over inotify."""

from __future__ import annotations

import _ctypes  # as in hardening: the whole of ctypes would cost too much
import os
import sys

from . import entries, errors, paths

CREATE, WRITE, REMOVE, RENAME, CHMOD = b"create", b"write", b"remove", b"rename", b"chmod"
LOST = b"lost"

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x40, 0x80
_CREATE, _DELETE = 0x100, 0x200
_IGNORED, _ISDIR, _ONLYDIR = 0x8000, 0x40000000, 0x01000000
_Q_OVERFLOW = 0x4000
_WANTED = _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_HEAD = 16
_BUFFER = 64 * 1024

_KINDS = (
    (_CREATE | _MOVED_TO, CREATE),
    (_MODIFY, WRITE),
    (_DELETE, REMOVE),
    (_MOVED_FROM, RENAME),
    (_ATTRIB, CHMOD),
)

# The type stub does not know that None, as in dlopen(3), is the process itself.
_library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_init = _ctypes.dlsym(_library, "inotify_init1")
_add = _ctypes.dlsym(_library, "inotify_add_watch")

Change = tuple[bytes, str, bytes]


class Watcher:
    """One watched directory, with all below it if ``recursive``.

    ``read`` answers (kind, path relative to the directory, packed entry or nothing); ``LOST`` is the
    kind of what tells that others are missing.
    """

    def __init__(self, user: str, path: str, recursive: bool, with_entries: bool) -> None:
        self._top = paths.resolve(path, user)
        self._recursive = recursive
        self._with_entries = with_entries
        self._folders: dict[int, str] = {}
        self._check()
        self.descriptor: int = _ctypes.call_cdeclfunction(_init, (_NONBLOCK_CLOEXEC,))
        if self.descriptor < 0:
            raise errors.AgentError(errors.EXHAUSTED, "too many watchers")
        try:
            self._watch("")
        except errors.AgentError:
            self.close()
            raise

    def _check(self) -> None:
        try:
            mode = os.stat(self._top).st_mode
        except FileNotFoundError:
            raise errors.AgentError(errors.NOT_FOUND, f"path {self._top} not found") from None
        except OSError as exc:
            raise errors.from_os_error(exc, f"cannot watch {self._top}") from None
        if not entries.is_directory(mode):
            raise errors.AgentError(errors.INVALID, f"path {self._top} is not a directory")

    def _watch(self, folder: str) -> list[str]:
        """Watch ``folder`` and what is below it; answers the paths found there."""
        found = []
        stack = [folder]
        while stack:
            current = stack.pop()
            path = os.path.join(self._top, current)
            # The final slash follows a symlink at the top, as the caller would.
            number = _ctypes.call_cdeclfunction(
                _add, (self.descriptor, os.fsencode(path) + b"/\0", _WANTED)
            )
            if number < 0:
                self._refused(current, path)
                continue
            self._folders[number] = current
            if self._recursive:
                below = self._below(current)
                found += [name for name, _ in below]
                stack += [name for name, is_folder in below if is_folder]
        return found

    def _refused(self, folder: str, path: str) -> None:
        """Why could it not be watched? Raises for the top, and at the kernel's own limit.

        What went away since, or may not be read, is nothing that could be watched.
        """
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as exc:
            if not folder:
                raise errors.from_os_error(exc, f"cannot watch {path}") from None
            return
        raise errors.AgentError(
            errors.EXHAUSTED, f"cannot watch {path}: the kernel watches no more directories"
        )

    def _below(self, folder: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(os.path.join(self._top, folder)) as listed:
                return [
                    (os.path.join(folder, one.name), one.is_dir(follow_symlinks=False))
                    for one in listed
                ]
        except OSError:
            return []

    def read(self) -> list[Change]:
        """What has changed since the last call."""
        try:
            data = os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return []
        changes: list[Change] = []
        at = 0
        while at < len(data):
            number = int.from_bytes(data[at : at + 4], sys.byteorder, signed=True)
            mask = int.from_bytes(data[at + 4 : at + 8], sys.byteorder)
            size = int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
            name = data[at + _HEAD : at + _HEAD + size].rstrip(b"\0")
            at += _HEAD + size
            changes += self._change(number, mask, os.fsdecode(name))
        return changes

    def _change(self, number: int, mask: int, name: str) -> list[Change]:
        if mask & _Q_OVERFLOW:
            return [(LOST, "", b"")]
        folder = self._folders.get(number)
        if folder is None:
            return []
        if mask & _IGNORED:
            del self._folders[number]
            return []
        kind = next((kind for bits, kind in _KINDS if mask & bits), None)
        if kind is None or not name:
            return []
        path = os.path.join(folder, name)
        changes = [self._described(kind, path)]
        if kind == CREATE and mask & _ISDIR and self._recursive:
            changes += self._missed(path)
        return changes

    def _missed(self, folder: str) -> list[Change]:
        """What was put into a new directory before it was watched."""
        changes: list[Change] = []
        try:
            found = self._watch(folder)
        except errors.AgentError:
            return [(LOST, "", b"")]
        for below in found:
            changes.append(self._described(CREATE, below))
            if self._has_content(below):
                changes.append(self._described(WRITE, below))
        return changes

    def _has_content(self, path: str) -> bool:
        try:
            info = os.lstat(os.path.join(self._top, path))
        except OSError:
            return False
        return entries.is_regular(info.st_mode) and info.st_size > 0

    def _described(self, kind: bytes, path: str) -> Change:
        if not self._with_entries or kind in (REMOVE, RENAME):
            return kind, path, b""
        try:
            return kind, path, entries.describe(os.path.join(self._top, path))
        except errors.AgentError:
            return kind, path, b""

    def close(self) -> None:
        """Stop watching."""
        os.close(self.descriptor)

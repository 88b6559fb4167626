"""What is known about one file, in the words of the vendor's EntryInfo."""

from __future__ import annotations

import os

from . import errors, frames

FILE, DIRECTORY, OTHER = b"file", b"directory", b"other"
XATTR_PREFIX = "user.e2b."
_MAX_METADATA = 64 * 1024

_S_IFMT = 0o170000
_S_IFDIR = 0o040000
_S_IFREG = 0o100000
_S_IFLNK = 0o120000

# Go's os.FileMode prints these letters, and SDK users compare against them.
_TYPE_LETTERS = {
    _S_IFDIR: "d",
    _S_IFREG: "",
    _S_IFLNK: "L",
    0o010000: "p",
    0o020000: "Dc",
    0o060000: "D",
    0o140000: "S",
}
_OWNERS = {0: b"root", 1000: b"user", 65534: b"nobody"}


def is_directory(mode: int) -> bool:
    return mode & _S_IFMT == _S_IFDIR


def is_regular(mode: int) -> bool:
    return mode & _S_IFMT == _S_IFREG


def is_symlink(mode: int) -> bool:
    return mode & _S_IFMT == _S_IFLNK


def describe(path: str) -> bytes:
    """One packed entry for ``path``, which may be a symlink (then of its target's type)."""
    try:
        link = os.lstat(path)
    except OSError as exc:
        raise errors.from_os_error(exc, f"cannot stat {path}") from None
    info, target, kind = link, b"", _kind(link.st_mode)
    if is_symlink(link.st_mode):
        target, kind = _follow(path)
    return frames.pack(
        [
            os.fsencode(os.path.basename(path) or "/"),
            kind,
            os.fsencode(path),
            b"%d" % info.st_size,
            b"%d" % (info.st_mode & 0o777),
            permissions(info.st_mode).encode(),
            _OWNERS.get(info.st_uid, b"%d" % info.st_uid),
            _OWNERS.get(info.st_gid, b"%d" % info.st_gid),
            b"%d" % info.st_mtime_ns,
            target,
            b"1" if is_symlink(link.st_mode) else b"",
            _metadata(path),
        ]
    )


def permissions(mode: int) -> str:
    """``mode`` as Go prints it: ``drwxr-xr-x``, ``-rw-r--r--``, ``dtrwxrwxrwx``."""
    letters = _TYPE_LETTERS.get(mode & _S_IFMT, "?")
    letters += ("u" if mode & 0o4000 else "") + ("g" if mode & 0o2000 else "")
    letters += "t" if mode & 0o1000 else ""
    bits = "".join(letter if mode & (0o400 >> at) else "-" for at, letter in enumerate("rwxrwxrwx"))
    return (letters or "-") + bits


def _follow(path: str) -> tuple[bytes, bytes]:
    try:
        kind = _kind(os.stat(path).st_mode)
    except OSError:
        return os.fsencode(os.readlink(path)), OTHER
    return os.fsencode(os.path.realpath(path)), kind


def _kind(mode: int) -> bytes:
    if is_regular(mode):
        return FILE
    return DIRECTORY if is_directory(mode) else OTHER


def _metadata(path: str) -> bytes:
    """The entry's user-defined metadata, packed as key, value, key, value…

    Whoever writes attributes past the engine can write more than an answer holds: those are left.
    """
    pairs: list[bytes] = []
    size = 0
    try:
        for name in os.listxattr(path):
            if name.startswith(XATTR_PREFIX):
                value = os.getxattr(path, name)
                size += len(name) + len(value)
                if size > _MAX_METADATA:
                    break
                pairs += [os.fsencode(name[len(XATTR_PREFIX) :]), value]
    except OSError:  # a file system without extended attributes, or a broken symlink
        return b""
    return frames.pack(pairs)

"""A zip archive that somebody sent: taken apart without believing anything that it says of itself.

Its bytes go into one unnamed file, what is in it into another; neither is ever held in memory. An entry that can't be a
file of a project refuses the whole archive, and names itself.
"""

from __future__ import annotations

import errno
import itertools
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

from kit.errors import Invalid, QuotaExceeded
from kit.paths import checked_path
from services.sandbox.model import Content, Put

_PIECE_BYTES = 256 * 1024
# What lists 2,000 files takes far less. It is read at once, so what is more would be a way to fill the memory.
_DIRECTORY_BYTES = 4 * 1024 * 1024
_PACKED = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1
_LOCAL_HEADER_BYTES = 30
# What macOS puts beside the files.
_LITTER_FOLDER, _LITTER_FILE = "__MACOSX", ".DS_Store"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    UnicodeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What one archive may bring."""

    archive_bytes: int
    """Of the archive itself."""
    files: int
    file_bytes: int
    total_bytes: int
    """Of all that is in it."""


class Unpacking:
    """An archive while it arrives, and then what was in it."""

    def __init__(self, limits: ArchiveLimits) -> None:
        """Use it in a ``with``: the temporary files go with it."""
        self._limits = limits
        # Closed by __exit__.
        self._archive = tempfile.TemporaryFile()  # noqa: SIM115
        self._unpacked = tempfile.TemporaryFile()  # noqa: SIM115
        self._end = 0
        self.arrived = 0
        """Bytes of the archive so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()
        self._unpacked.close()

    def accept(self, data: bytes) -> None:
        """More of the archive. Raises ``QuotaExceeded`` (ARCHIVE_BYTES) as soon as it is too much."""
        self.arrived += len(data)
        if self.arrived > self._limits.archive_bytes:
            raise _over("ARCHIVE_BYTES", "bytes", self._limits.archive_bytes)
        self._archive.write(data)

    def unpack(self, folder: str) -> list[Put]:
        """One step for each file, below ``folder`` (``""``: at the top). Blocks: it is work for a thread.

        Raises ``Invalid`` naming the entry, ``QuotaExceeded`` (ARCHIVE_FILES, PROJECT_BYTES).
        """
        try:
            with zipfile.ZipFile(_Careful(self._archive)) as archive:
                return self._steps(archive, folder)
        except _BROKEN as exc:
            if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
                raise
            raise _refused("is no zip archive that can be read") from exc

    def _steps(self, archive: zipfile.ZipFile, folder: str) -> list[Put]:
        entries = [one for one in archive.infolist() if not _is_litter(one)]
        _check_overlaps(entries)
        places = [(one, _place(one, folder)) for one in entries]
        files = [(one, path) for one, path in places if not _is_folder(one)]
        if not files:
            raise _refused("the archive holds no file")
        if len(files) > self._limits.files:
            raise _over("ARCHIVE_FILES", "files", self._limits.files)
        _check_collisions([path for _, path in files])
        for one, _ in files:
            self._check_size(one, one.file_size)
        return [Put(path, self._content(archive, one)) for one, path in files]

    def _content(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Content:
        begin = self._end
        for piece in _pieces(archive, entry):
            self._end += len(piece)
            self._check_size(entry, self._end - begin)
            if self._end > self._limits.total_bytes:
                raise _over("PROJECT_BYTES", "bytes when unpacked", self._limits.total_bytes)
            self._unpacked.write(piece)
        if self._end - begin != entry.file_size:
            raise _unfit(entry, "is not as long as the archive says")
        return Content(self._unpacked, self._end - begin, begin)

    def _check_size(self, entry: zipfile.ZipInfo, size: int) -> None:
        if size > self._limits.file_bytes:
            raise _unfit(
                entry, f"has more than {self._limits.file_bytes} bytes", reason="FILE_TOO_LARGE"
            )


class _Careful:
    """The archive as ``zipfile`` reads it: never so much at once that it fills the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seekable, self.tell, self.seek = file.seekable, file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(
            min(size, _DIRECTORY_BYTES + 1) if size >= 0 else _DIRECTORY_BYTES + 1
        )
        if len(data) > _DIRECTORY_BYTES:
            raise _refused(f"the archive's directory has more than {_DIRECTORY_BYTES} bytes")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """What the entry really holds; its length and its checksum are compared on the way."""
    try:
        with archive.open(entry) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except _BROKEN as exc:
        raise _unfit(entry, "is damaged") from exc


def _place(entry: zipfile.ZipInfo, folder: str) -> str:
    """Where the entry belongs in the project. Raises ``Invalid`` where it can't be there."""
    # ``filename`` ends at the first NUL and is what the machine makes of it; this is what was sent.
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise _unfit(entry, "is a link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unfit(entry, "is a device, a pipe or a socket")
    if kind and (kind == stat.S_IFDIR) != _is_folder(entry):
        raise _unfit(entry, "is not the folder or the file that its name says")
    if entry.flag_bits & _ENCRYPTED:
        raise _unfit(entry, "is encrypted")
    if entry.compress_type not in _PACKED:
        raise _unfit(entry, "is packed in a way that is not supported: deflate is")
    if name[1:2] == ":" and name[:1].isalpha():
        raise _unfit(entry, "begins with a drive")
    try:
        path = checked_path(name.removesuffix("/"))
        return checked_path(f"{folder}/{path}") if folder else path
    except Invalid as exc:
        raise _unfit(entry, exc.violations[0].message) from exc


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.orig_filename.endswith("/")


def _is_litter(entry: zipfile.ZipInfo) -> bool:
    segments = entry.orig_filename.split("/")
    return segments[0] == _LITTER_FOLDER or segments[-1] == _LITTER_FILE


def _check_overlaps(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Entries that share bytes make much of little."""
    begins = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in itertools.pairwise(begins):
        size = _LOCAL_HEADER_BYTES + entry.compress_size
        if entry.header_offset + size > following.header_offset:
            raise _unfit(following, f"overlaps '{_shown(entry)}'")


def _check_collisions(paths: Sequence[str]) -> None:
    """Two names that some machine takes for one, or a file where others need a folder."""
    known: dict[str, str] = {}
    for path in paths:
        key = _alike(path)
        if key in known:
            raise _refused(f"the entries '{known[key]}' and '{path}' have the same name")
        known[key] = path
    for path in paths:
        end = path.find("/")
        while end != -1:
            if (file := known.get(_alike(path[:end]))) is not None:
                raise _refused(f"the entry '{path}' can't lie in '{file}', which is a file")
            end = path.find("/", end + 1)


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _shown(entry: zipfile.ZipInfo) -> str:
    """A name that is fit for a message, whatever it holds."""
    return "".join(one if one.isprintable() else "?" for one in entry.orig_filename)[:200]


def _unfit(entry: zipfile.ZipInfo, problem: str, reason: str | None = None) -> Invalid:
    return _refused(f"the entry '{_shown(entry)}' {problem}", reason)


def _refused(problem: str, reason: str | None = None) -> Invalid:
    found = Invalid.field("content", problem)
    return Invalid(found.message, reason=reason, violations=found.violations) if reason else found


def _over(reason: str, what: str, limit: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"an archive has at most {limit} {what}", reason=reason, metadata={"limit": str(limit)}
    )

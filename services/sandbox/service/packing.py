"""A zip archive that is sent while it is made: at no time is more of it in memory than a few pieces."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC
from typing import IO

from kit.errors import Unavailable
from kit.paths import media_type
from services.sandbox.model import Seen
from services.sandbox.vendor import PathMissing, PathUnfit, VendorSandbox

CHUNK_BYTES = 1024 * 1024
_SEND_BYTES = 256 * 1024
# Files up to this size are read several at a time: over a network most of their time is waiting.
_SMALL_BYTES = 64 * 1024
_AT_ONCE = 8
# Zip's own limit is 4 GiB; the file may have grown since it was seen.
_LARGE_BYTES = 1024**3
_THREAD_BYTES = 16 * 1024
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
_EPOCH = (_FIRST_YEAR, 1, 1, 0, 0, 0)
_FILE_MODE, _FOLDER_MODE = 0o100644 << 16, 0o40755 << 16
_PACKED_ALREADY = ("image/", "video/", "audio/", "font/woff")


class _Sink:
    """Where ``zipfile`` writes to. It can't be sought in, so sizes come behind the files."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Whoever sends what was written ends by itself."""

    def take(self) -> Iterator[bytes]:
        """What was written since, in chunks."""
        data, self._parts, self.size = b"".join(self._parts), [], 0
        for begin in range(0, len(data), CHUNK_BYTES):
            yield data[begin : begin + CHUNK_BYTES]


async def packed(
    live: VendorSandbox, folder: str, files: Mapping[str, Seen], empty: Sequence[str] = ()
) -> AsyncGenerator[bytes, None]:
    """The archive of these files, named relative to ``folder`` (absolute), by path, in chunks of at most 1 MiB.

    After them come the ``empty`` folders. A file that has vanished since it was seen is left out.
    Raises ``SandboxLost``, ``Unavailable``.
    """
    sink = _Sink()
    archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)
    paths = sorted(files)
    for begin in range(0, len(paths), _AT_ONCE):
        group = paths[begin : begin + _AT_ONCE]
        small = await _read_small(live, [p for p in group if files[p].size_bytes <= _SMALL_BYTES])
        for path in group:
            with suppress(_Vanished):
                async with aclosing(_pieces(live, path, small)) as pieces:
                    first = await anext(pieces, b"")
                    entry = _entry(path.removeprefix(f"{folder}/"), files[path])
                    large = files[path].size_bytes > _LARGE_BYTES
                    with archive.open(entry, "w", force_zip64=large) as out:
                        await _write(out, first)
                        async for piece in pieces:
                            await _write(out, piece)
                            if sink.size >= _SEND_BYTES:
                                for chunk in sink.take():
                                    yield chunk
            if sink.size >= _SEND_BYTES:
                for chunk in sink.take():
                    yield chunk
    for path in empty:
        archive.writestr(_folder(f"{path.removeprefix(f'{folder}/')}/"), b"")
    archive.close()
    for chunk in sink.take():
        yield chunk


class _Vanished(Exception):
    """The file was there when the folder was looked at."""


async def _read_small(live: VendorSandbox, paths: Sequence[str]) -> dict[str, bytes | None]:
    """Contents by path, ``None`` for what has vanished or grown."""
    async with asyncio.TaskGroup() as tasks:
        reading = {path: tasks.create_task(_whole(live, path)) for path in paths}
    return {path: task.result() for path, task in reading.items()}


async def _whole(live: VendorSandbox, path: str) -> bytes | None:
    data = bytearray()
    with suppress(PathMissing, PathUnfit):
        async with aclosing(await live.read(path)) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > _LARGE_BYTES // 1024:
                    return None
            return bytes(data)
    return None


async def _pieces(
    live: VendorSandbox, path: str, small: Mapping[str, bytes | None]
) -> AsyncGenerator[bytes, None]:
    if (data := small.get(path)) is not None:
        yield data
        return
    try:
        reading = await live.read(path)
    except (PathMissing, PathUnfit) as exc:
        raise _Vanished from exc
    async with aclosing(reading) as pieces:
        try:
            async for piece in pieces:
                yield piece
        except (PathMissing, PathUnfit) as exc:
            # Half of it is on its way: a short file must not look like a whole one.
            raise Unavailable("a file vanished while it was packed", retry_after=1.0) from exc


async def _write(out: IO[bytes], piece: bytes) -> None:
    """Compresses elsewhere: a megabyte takes tens of milliseconds."""
    if len(piece) < _THREAD_BYTES:
        out.write(piece)
    else:
        await asyncio.to_thread(out.write, piece)


def _folder(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    # In the lower half what Windows knows a folder by.
    entry.external_attr = _FOLDER_MODE | 0x10
    entry.create_system = 3
    return entry


def _entry(name: str, seen: Seen) -> zipfile.ZipInfo:
    at = seen.modified_at.astimezone(UTC)
    moment = (at.year, at.month, at.day, at.hour, at.minute, at.second)
    entry = zipfile.ZipInfo(name, moment if _FIRST_YEAR <= at.year <= _LAST_YEAR else _EPOCH)
    packed_already = media_type(name).startswith(_PACKED_ALREADY) and not name.endswith(".svg")
    entry.compress_type = zipfile.ZIP_STORED if packed_already else zipfile.ZIP_DEFLATED
    entry.external_attr = _FILE_MODE
    entry.create_system = 3
    return entry

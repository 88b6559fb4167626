"""Looking into a sandbox."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from kit.errors import FailedPrecondition, Invalid, NotFound
from services.sandbox.model import SITE, Entry, Sandbox
from services.sandbox.service.filling import DEPTH, site_path
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.vendor import PathMissing, PathUnfit

CHUNK_BYTES = 1024 * 1024


class Files:
    """Lists and reads the files of a project's sandbox."""

    def __init__(self, lifecycle: Lifecycle, most_entries: int) -> None:
        """``most_entries``: how many one listing may have."""
        self._lifecycle = lifecycle
        self._most_entries = most_entries

    async def list(self, project_id: str, owner_id: str, folder: str, depth: int) -> list[Entry]:
        """What lies in a folder (absolute), by path; depth 0: all of the project's, one level elsewhere.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND, FILE_NOT_FOUND), ``Invalid``, ``FailedPrecondition``
        (TOO_MANY_ENTRIES).
        """
        inside = folder == SITE or folder.startswith(f"{SITE}/")
        levels = depth or (DEPTH if inside else 1)
        async with self._lifecycle.using(project_id, owner_id) as (_, live):
            with _named(folder):
                entries = await live.list(folder, levels)
        if len(entries) > self._most_entries:
            raise FailedPrecondition(
                f"the folder holds more than {self._most_entries} entries: ask for a folder in it, or for fewer levels",
                reason="TOO_MANY_ENTRIES",
                metadata={"limit": str(self._most_entries)},
            )
        return sorted(entries, key=lambda entry: entry.path)

    async def read(self, project_id: str, owner_id: str, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one of the project's files in chunks of at most 1 MiB; it is there when this returns.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND, FILE_NOT_FOUND), ``Invalid``.
        """
        async with self._lifecycle.using(project_id, owner_id) as (sandbox, live):
            with _named(path):
                pieces = await live.read(site_path(path))
        return self._chunks(sandbox, pieces)

    async def _chunks(
        self, sandbox: Sandbox, pieces: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        async with self._lifecycle.noticing(sandbox), aclosing(pieces):
            async for piece in pieces:
                for begin in range(0, len(piece), CHUNK_BYTES):
                    yield piece[begin : begin + CHUNK_BYTES]


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except PathMissing as exc:
        raise NotFound(f"there is no '{path}' in the sandbox", reason="FILE_NOT_FOUND") from exc
    except PathUnfit as exc:
        raise Invalid.field("path", "is not of the kind that is asked for") from exc

"""Many files at once, as zip archives."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kit.errors import NotFound
from services.sandbox.model import SITE, Origin, Sandbox, Scan, Written
from services.sandbox.service.filling import site_path
from services.sandbox.service.ignoring import Ignored
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.packing import packed
from services.sandbox.service.unpacking import ArchiveLimits, Unpacking
from services.sandbox.service.writing import Writing
from services.sandbox.vendor import PathMissing, VendorSandbox


class Archives:
    """Takes archives apart into a project, and packs a project."""

    def __init__(
        self, lifecycle: Lifecycle, writing: Writing, limits: ArchiveLimits, ignored: Ignored
    ) -> None:
        """``ignored``: what is not packed."""
        self._lifecycle = lifecycle
        self._writing = writing
        self._limits = limits
        self._ignored = ignored

    def arriving(self) -> Unpacking:
        """An archive that is about to arrive; to be used in a ``with``."""
        return Unpacking(self._limits)

    async def upload(
        self, project_id: str, owner_id: str, folder: str, archive: Unpacking
    ) -> Written:
        """Writes all that is in the archive into a folder of the project (``""``: its own), or nothing.

        Raises ``Invalid``, ``QuotaExceeded`` (ARCHIVE_FILES, PROJECT_BYTES), and what a write raises.
        """
        steps = await asyncio.to_thread(archive.unpack, folder)
        written, _ = await self._writing.write(project_id, owner_id, Origin(), steps)
        return written

    async def download(
        self, project_id: str, owner_id: str, folder: str
    ) -> AsyncGenerator[bytes, None]:
        """The archive of a folder of the project (``""``: its own), in chunks; the folder is there when this returns.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND, FILE_NOT_FOUND).
        """
        place = site_path(folder) if folder else SITE
        async with self._lifecycle.using(project_id, owner_id) as (sandbox, live):
            try:
                scan = await live.scan(place, self._ignored.patterns)
            except PathMissing as exc:
                raise NotFound(
                    f"there is no folder '{folder}' in the sandbox", reason="FILE_NOT_FOUND"
                ) from exc
        return self._packed(sandbox, live, place, scan)

    async def _packed(
        self, sandbox: Sandbox, live: VendorSandbox, place: str, scan: Scan
    ) -> AsyncGenerator[bytes, None]:
        async with (
            self._lifecycle.noticing(sandbox),
            self._lifecycle.told_apart(sandbox),
            aclosing(packed(live, place, scan.files, _bare(scan))) as chunks,
        ):
            async for chunk in chunks:
                yield chunk


def _bare(scan: Scan) -> list[str]:
    """Folders that no file of the archive and no other folder lies in: nothing else would tell of them."""
    holding = {posixpath.dirname(path) for path in (*scan.files, *scan.folders)}
    return sorted(scan.folders - holding)

"""One sandbox at E2B: its files, what runs in it, what it uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import Any

import httpx
from e2b import AsyncSandbox, CommandExitException
from e2b.sandbox.filesystem.filesystem import EntryInfo, FileType, WriteEntry
from e2b.sandbox.filesystem.watch_handle import FilesystemEvent

from kit.errors import Unavailable
from services.sandbox import listing
from services.sandbox.commands import Channel, Command
from services.sandbox.e2b_vendor.access import E2bAccess
from services.sandbox.e2b_vendor.command import E2bCommand
from services.sandbox.e2b_vendor.errors import translated
from services.sandbox.e2b_vendor.uploads import batches, fits_a_batch, pieces
from services.sandbox.model import PREVIEW_PORT, Entry, Kind, Metrics, Scan
from services.sandbox.vendor import (
    OnOutput,
    PathMissing,
    PathUnfit,
    RunningCommand,
    Upload,
    VendorSandbox,
    Watch,
)

HEALTH = "/__sandwright/health"
PROBE_SECONDS = 2.0
# The service itself ends a command at its timeout; the vendor does where the service can't.
_TIMEOUT_MARGIN_SECONDS = 30
_KINDS = {FileType.FILE: Kind.FILE, FileType.DIR: Kind.DIRECTORY}


class E2bSandbox(VendorSandbox):
    """One sandbox at E2B."""

    def __init__(
        self,
        sandbox: AsyncSandbox,
        access: E2bAccess,
        http: httpx.AsyncClient,
        options: dict[str, Any],
    ) -> None:
        """Made by ``E2bVendor``."""
        self._sandbox = sandbox
        self._access = access
        self._http = http
        self._options = options

    @property
    def vendor_id(self) -> str:
        """See ``VendorSandbox``."""
        return self._sandbox.sandbox_id

    @property
    def url(self) -> str:
        """See ``VendorSandbox``."""
        return self.url_of(PREVIEW_PORT)

    def url_of(self, port: int) -> str:
        """See ``VendorSandbox``."""
        plain = (self._access.sandbox_url or self._access.api_url).startswith("http://")
        scheme = "http" if plain else "https"
        return f"{scheme}://{self._sandbox.get_host(port)}"

    async def write(self, uploads: Sequence[Upload]) -> None:
        """See ``VendorSandbox``."""
        with translated(files=True):
            for batch in batches(uploads):
                await self._sandbox.files.write_files(
                    [
                        WriteEntry(path=one.path, data=one.content.piece(0, one.content.size))
                        for one in batch
                    ]
                )
            for one in uploads:
                if not fits_a_batch(one):
                    await self._sandbox.files.write(one.path, pieces(one.content))

    async def rename(self, old: str, new: str) -> None:
        """See ``VendorSandbox``."""
        with translated(files=True):
            await self._sandbox.files.rename(old, new)

    async def remove(self, path: str) -> None:
        """See ``VendorSandbox``."""
        try:
            with translated(files=True):
                await self._sandbox.files.remove(path)
        except PathMissing:
            return

    async def make_folder(self, path: str) -> None:
        """See ``VendorSandbox``."""
        with translated(files=True):
            await self._sandbox.files.make_dir(path)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """See ``VendorSandbox``."""
        with translated(files=True):
            reader = await self._sandbox.files.read(path, format="stream")

        async def pieces() -> AsyncGenerator[bytes, None]:
            async with reader:
                with translated(files=True):
                    async for piece in reader:
                        yield piece

        return pieces()

    async def list(self, path: str, depth: int) -> list[Entry]:
        """See ``VendorSandbox``."""
        with translated(files=True):
            return [_entry(one) for one in await self._sandbox.files.list(path, depth=depth)]

    async def hashes(self, path: str, ignored: Collection[str] = ()) -> dict[str, str]:
        """See ``VendorSandbox``."""
        _, printed = await self._looked(listing.hashes(path, ignored))
        return listing.hashed(printed)

    async def scan(self, path: str, ignored: Collection[str] = ()) -> Scan:
        """See ``VendorSandbox``."""
        code, printed = await self._looked(listing.scan(path, ignored))
        return listing.scanned(printed, complete=code == 0)

    async def hashes_of(self, paths: Sequence[str]) -> dict[str, str]:
        """See ``VendorSandbox``."""
        found: dict[str, str] = {}
        for command in listing.hashes_of(paths):
            found |= listing.hashed((await self._looked(command))[1])
        return found

    async def watch(self, path: str, heeded: Callable[[str], bool], *, deep: bool = True) -> Watch:
        """See ``VendorSandbox``."""
        changed, over = asyncio.Event(), asyncio.Event()

        def hear(event: FilesystemEvent) -> None:
            if heeded(event.name):
                changed.set()

        def end(_: Exception | None) -> None:
            over.set()
            changed.set()

        with translated(files=True):
            handle = await self._sandbox.files.watch_dir(
                path, hear, on_exit=end, timeout=0, recursive=deep
            )
        return Watch(changed, over, handle.stop)

    async def _looked(self, command: str) -> tuple[int, str]:
        """The exit code of a command that looks at files, and what it printed."""
        with translated():
            try:
                done = await self._sandbox.commands.run(command)
            except CommandExitException as exc:
                if exc.exit_code == listing.MISSING:
                    raise PathMissing(command) from exc
                if exc.exit_code != listing.INCOMPLETE:
                    raise Unavailable(
                        "the sandbox can't read its own files", retry_after=1.0
                    ) from exc
                return exc.exit_code, exc.stdout
        return 0, done.stdout

    async def start(self, command: str) -> None:
        """See ``VendorSandbox``."""
        with translated():
            handle = await self._sandbox.commands.run(command, background=True, timeout=0)
            await handle.disconnect()

    async def begin(self, command: Command, on_output: OnOutput) -> RunningCommand:
        """See ``VendorSandbox``."""
        try:
            with translated(files=True):
                handle = await self._sandbox.commands.run(
                    command.text,
                    background=True,
                    envs=dict(command.env),
                    cwd=command.cwd,
                    on_stdout=lambda text: on_output(Channel.STDOUT, text),
                    on_stderr=lambda text: on_output(Channel.STDERR, text),
                    timeout=command.timeout_seconds + _TIMEOUT_MARGIN_SECONDS,
                    retain_output=False,
                )
        except PathUnfit as exc:
            raise PathMissing(command.cwd) from exc
        return E2bCommand(handle)

    async def run(self, command: str, seconds: float = 60) -> str:
        """See ``VendorSandbox``."""
        with translated():
            done = await self._sandbox.commands.run(command, timeout=seconds)
        return done.stdout

    async def preview_answers(self, version: str) -> bool:
        """See ``VendorSandbox``."""
        base, headers = self.url, {}
        if self._access.sandbox_url:
            # The host names of a local engine resolve in browsers, but not everywhere.
            base = self._access.sandbox_url.rstrip("/")
            headers = {"E2b-Sandbox-Id": self.vendor_id, "E2b-Sandbox-Port": str(PREVIEW_PORT)}
        try:
            answer = await self._http.get(base + HEALTH, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.text.split() == ["ok", version]

    async def metrics(self) -> Metrics:
        """See ``VendorSandbox``."""
        with translated():
            measured = await AsyncSandbox.get_metrics(self.vendor_id, **self._options)
            info = await AsyncSandbox.get_info(self.vendor_id, **self._options)
        if not measured:
            return Metrics(info.cpu_count, 0, 0, info.memory_mb * 1024 * 1024, 0, 0)
        last = measured[-1]
        return Metrics(
            cpu_count=last.cpu_count,
            # E2B tells percent of all processors together.
            cpu_used_percent=last.cpu_used_pct * last.cpu_count,
            memory_used=last.mem_used,
            memory_total=last.mem_total,
            disk_used=last.disk_used,
            disk_total=last.disk_total,
        )


def _entry(info: EntryInfo) -> Entry:
    return Entry(
        path=info.path,
        kind=_KINDS.get(info.type, Kind.OTHER) if info.type else Kind.OTHER,
        size_bytes=info.size,
        modified_at=info.modified_time,
        symlink_target=info.symlink_target or "",
    )

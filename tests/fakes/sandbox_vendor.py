"""Sandboxes in memory. Passes the vendor's contract tests; fails on demand."""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.sandbox.commands import Channel, Command, Ended
from services.sandbox.model import Entry, Kind, Metrics, Scan, Seen
from services.sandbox.vendor import (
    Listed,
    OnOutput,
    PathMissing,
    PathUnfit,
    RunningCommand,
    SandboxLost,
    SandboxVendor,
    Upload,
    VendorSandbox,
    VendorState,
    Watch,
)

Hook = Callable[..., Awaitable[None]]


@dataclass
class FakeSandbox(VendorSandbox):
    """One sandbox: a dictionary of files and a set of folders."""

    name: str
    vendor: FakeVendor = field(repr=False)
    labels: dict[str, str]
    lifetime_seconds: int
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/", "/home", "/home/user"})
    started: list[str] = field(default_factory=list)
    watches: list[tuple[str, Callable[[str], bool], Watch]] = field(default_factory=list)
    paused: bool = False

    @property
    def vendor_id(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        return self.url_of(8000)

    async def _check(self, method: str, *arguments: Any) -> None:
        await self.vendor.called(method, *arguments)
        if self.name not in self.vendor.sandboxes or self.paused:
            raise SandboxLost

    async def write(self, uploads: Sequence[Upload]) -> None:
        await self._check("write", uploads)
        for upload in uploads:
            self._place(upload.path, upload.content.piece(0, upload.content.size))

    async def rename(self, old: str, new: str) -> None:
        await self._check("rename", old, new)
        if old not in self.files:
            raise PathMissing(old)
        data = self.files[old]
        self._place(new, data)
        if old != new:
            del self.files[old]
            self._touched(old)

    async def remove(self, path: str) -> None:
        await self._check("remove", path)
        self.files.pop(path, None)
        self._touched(path)
        below = f"{path}/"
        self.files = {one: data for one, data in self.files.items() if not one.startswith(below)}
        self.folders = {one for one in self.folders if one != path and not one.startswith(below)}

    async def make_folder(self, path: str) -> None:
        await self._check("make_folder", path)
        self._make_folders(path)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        await self._check("read", path)
        if path in self.folders:
            raise PathUnfit(path)
        if path not in self.files:
            raise PathMissing(path)
        data = self.files[path]

        async def pieces() -> AsyncGenerator[bytes, None]:
            for at in range(0, len(data), 1000):
                yield data[at : at + 1000]

        return pieces()

    async def list(self, path: str, depth: int) -> list[Entry]:
        await self._check("list", path, depth)
        if path in self.files:
            raise PathUnfit(path)
        if path not in self.folders:
            raise PathMissing(path)
        top = path.rstrip("/") + "/"
        below = [one for one in [*self.files, *self.folders] if one.startswith(top) and one != top]
        return [self._entry(one) for one in below if one[len(top) :].count("/") < depth]

    async def hashes(self, path: str, ignored: Collection[str] = ()) -> dict[str, str]:
        await self._check("hashes", path)
        return self._hashed(self._below(path, ignored))

    async def scan(self, path: str, ignored: Collection[str] = ()) -> Scan:
        await self._check("scan", path)
        now = datetime.now(UTC)
        digests = self._hashed(self._below(path, ignored))
        folders = {one for one in self.folders if one.startswith(f"{path}/")}
        left = {one for one in folders if posixpath.basename(one) in ignored}
        return Scan(
            {one: Seen(len(self.files[one]), now, mark) for one, mark in digests.items()},
            frozenset(),
            True,
            frozenset(one for one in folders if not _in_any(one, left)),
            frozenset(one for one in left if not _in_any(posixpath.dirname(one), left)),
        )

    async def hashes_of(self, paths: Sequence[str]) -> dict[str, str]:
        await self._check("hashes_of", paths)
        return self._hashed([path for path in paths if path in self.files])

    async def watch(self, path: str, heeded: Callable[[str], bool], *, deep: bool = True) -> Watch:
        await self._check("watch", path, deep)
        if path in self.files:
            raise PathUnfit(path)
        if path not in self.folders:
            raise PathMissing(path)
        watch = Watch(asyncio.Event(), asyncio.Event(), self._unwatch)
        matters = heeded if deep else lambda one: "/" not in one and heeded(one)
        self.watches.append((path, matters, watch))
        return watch

    async def _unwatch(self) -> None:
        """Who has stopped does not look any more."""

    def _touched(self, path: str) -> None:
        for folder, heeded, watch in self.watches:
            if path.startswith(f"{folder}/") and heeded(path[len(folder) + 1 :]):
                watch.changed.set()

    def end_watches(self) -> None:
        """What happens to them when the sandbox ends."""
        for _, _, watch in self.watches:
            watch.over.set()
            watch.changed.set()
        self.watches.clear()

    def _below(self, folder: str, ignored: Collection[str]) -> Sequence[str]:
        if folder not in self.folders:
            raise PathMissing(folder)
        top = f"{folder}/"
        return [
            path
            for path in self.files
            if path.startswith(top) and not set(path[len(top) :].split("/")) & set(ignored)
        ]

    def _hashed(self, paths: Sequence[str]) -> dict[str, str]:
        return {path: hashlib.sha256(self.files[path]).hexdigest() for path in paths}

    async def start(self, command: str) -> None:
        await self._check("start", command)
        self.started.append(command)

    async def begin(self, command: Command, on_output: OnOutput) -> RunningCommand:
        await self._check("begin", command)
        if command.cwd not in self.folders:
            raise PathMissing(command.cwd)
        await on_output(Channel.STDOUT, command.text)
        return FakeCommand(self)

    async def run(self, command: str, seconds: float = 60) -> str:
        await self._check("run", command, seconds)
        return ""

    def url_of(self, port: int) -> str:
        return f"http://{port}-{self.name}.fake.test"

    async def preview_answers(self, version: str) -> bool:
        await self.vendor.called("preview_answers")
        runs = self.name in self.vendor.sandboxes and not self.paused
        return runs and any(version in command for command in self.started)

    async def metrics(self) -> Metrics:
        await self._check("metrics")
        return Metrics(1, 0, 0, 512 * 1024 * 1024, 0, 0)

    def _entry(self, path: str) -> Entry:
        kind = Kind.FILE if path in self.files else Kind.DIRECTORY
        return Entry(path, kind, len(self.files.get(path, b"")), datetime.now(UTC))

    def _place(self, path: str, data: bytes) -> None:
        if path in self.folders:
            raise PathUnfit(path)
        self._make_folders(posixpath.dirname(path))
        self.files[path] = data
        self._touched(path)

    def _make_folders(self, path: str) -> None:
        if path in self.files:
            raise PathUnfit(path)
        if path not in self.folders:
            self._make_folders(posixpath.dirname(path))
            self.folders.add(path)


def _in_any(path: str, folders: Collection[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in folders)


@dataclass
class FakeCommand(RunningCommand):
    """A command that writes its own text and goes well."""

    sandbox: FakeSandbox

    @property
    def pid(self) -> int:
        return 100

    async def wait(self) -> Ended:
        await self.sandbox.vendor.called("wait")
        return Ended(0)

    async def kill(self) -> None:
        await self.sandbox.vendor.called("kill_command")

    async def let_go(self) -> None:
        await self.sandbox.vendor.called("let_go")


class FakeVendor(SandboxVendor):
    """Runs sandboxes in this process."""

    def __init__(self) -> None:
        self.sandboxes: dict[str, FakeSandbox] = {}
        self.hooks: dict[str, Hook] = {}
        """Called with the arguments before the method of this name does its work; may raise."""
        self.calls: list[str] = []
        self._made = 0

    def add(self, name: str, labels: dict[str, str]) -> None:
        """A sandbox that is there already."""
        self.sandboxes[name] = FakeSandbox(name, self, labels, 3600)

    async def called(self, method: str, *arguments: Any) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        if hook := self.hooks.get(method):
            await hook(*arguments)

    async def create(
        self, labels: dict[str, str], lifetime_seconds: int, key: str
    ) -> VendorSandbox:
        await self.called("create", labels, lifetime_seconds, key)
        self._made += 1
        name = f"fake{self._made}"
        self.sandboxes[name] = FakeSandbox(name, self, labels, lifetime_seconds)
        return self.sandboxes[name]

    async def connect(self, vendor_id: str, seconds: int = 60) -> VendorSandbox:
        await self.called("connect", vendor_id, seconds)
        if vendor_id not in self.sandboxes or self.sandboxes[vendor_id].paused:
            raise SandboxLost
        return self.sandboxes[vendor_id]

    async def state(self, vendor_id: str) -> VendorState:
        await self.called("state", vendor_id)
        if vendor_id not in self.sandboxes:
            return VendorState.GONE
        asleep = self.sandboxes[vendor_id].paused
        return VendorState.PAUSED if asleep else VendorState.RUNNING

    async def pause(self, vendor_id: str) -> None:
        await self.called("pause", vendor_id)
        self._there(vendor_id).paused = True

    async def wake(self, vendor_id: str, seconds: int) -> VendorSandbox:
        await self.called("wake", vendor_id, seconds)
        found = self._there(vendor_id)
        found.paused, found.lifetime_seconds = False, seconds
        return found

    async def last(self, vendor_id: str, seconds: int) -> None:
        await self.called("last", vendor_id, seconds)
        self._there(vendor_id).lifetime_seconds = seconds

    def _there(self, vendor_id: str) -> FakeSandbox:
        if vendor_id not in self.sandboxes:
            raise SandboxLost
        return self.sandboxes[vendor_id]

    async def kill(self, vendor_id: str) -> None:
        await self.called("kill", vendor_id)
        gone = self.sandboxes.pop(vendor_id, None)
        if gone is not None:
            gone.end_watches()

    async def exists(self, vendor_id: str) -> bool:
        await self.called("exists", vendor_id)
        return vendor_id in self.sandboxes

    async def list(self, labels: dict[str, str]) -> list[Listed]:
        await self.called("list", labels)
        return [
            Listed(one.name, one.labels, one.paused)
            for one in self.sandboxes.values()
            if labels.items() <= one.labels.items()
        ]

    async def close(self) -> None:
        """Nothing is held open."""

"""What this service needs of whoever runs sandboxes. ``e2b_vendor`` is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.sandbox.commands import Channel, Command, Ended
from services.sandbox.model import Content, Entry, Metrics, Scan


class SandboxLost(Exception):
    """The sandbox does not exist any more; another one has to be made."""


class PathMissing(Exception):
    """There is nothing at this path."""


class PathUnfit(Exception):
    """Something else is at this path, such as a folder where a file should be."""


class DiskFull(Exception):
    """The sandbox has no room left."""


class CannotPause(Exception):
    """The vendor can't put this sandbox to sleep."""


class VendorState(Enum):
    """What the vendor says of a sandbox."""

    RUNNING = "running"
    PAUSED = "paused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be written to an absolute path."""

    path: str
    content: Content


@dataclass(frozen=True, slots=True)
class Listed:
    """A sandbox that the vendor has, with the labels that it was created with."""

    vendor_id: str
    labels: dict[str, str]
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """A folder that is watched. Only that something happened is told, and rather too often than not at all."""

    changed: asyncio.Event
    """Set when something happened, and when the watch is over; whoever waits clears it."""
    over: asyncio.Event
    """Set when nothing more will be told: the sandbox ended or slept, or the connection broke."""
    stop: Callable[[], Awaitable[None]]


OnOutput = Callable[[Channel, str], Awaitable[None]]
"""Takes a piece of a command's output. No more of it is read until it returns."""


class RunningCommand(Protocol):
    """A command that was begun. Whoever began it ends it, or waits for it, and lets go of it."""

    @property
    def pid(self) -> int:
        """Its process in the sandbox."""

    async def wait(self) -> Ended:
        """How it ended. Raises ``SandboxLost``, ``Unavailable``."""

    async def kill(self) -> None:
        """Ends its process; one that is gone is no error. Raises ``SandboxLost``, ``Unavailable``."""

    async def let_go(self) -> None:
        """Stops listening to it."""


class VendorSandbox(Protocol):
    """One sandbox, open for use. Paths are absolute.

    Every method raises ``SandboxLost`` where the sandbox is gone and ``kit.errors.Unavailable`` where the vendor does
    not answer.
    """

    @property
    def vendor_id(self) -> str:
        """The vendor's id."""

    @property
    def url(self) -> str:
        """Where the sandbox's preview port is reached from outside."""

    async def write(self, uploads: Sequence[Upload]) -> None:
        """Writes files, making the folders above them. Not atomic. Raises ``DiskFull``, ``PathUnfit``."""

    async def rename(self, old: str, new: str) -> None:
        """Moves a file, replacing what is there, making the folders above. Raises ``PathMissing``, ``PathUnfit``."""

    async def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that it holds; what isn't there is no error."""

    async def make_folder(self, path: str) -> None:
        """Makes a folder and those above it; one that is there is no error."""

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, in pieces of any size; begun when this returns.

        Raises ``PathMissing``, ``PathUnfit``.
        """

    async def list(self, path: str, depth: int) -> list[Entry]:
        """What lies in a folder, so many levels deep, in no order. Raises ``PathMissing``, ``PathUnfit``."""

    async def hashes(self, path: str, ignored: Collection[str] = ()) -> dict[str, str]:
        """SHA-256 in hexadecimal by absolute path of every regular file in a folder, and of links to such.

        What has one of the ``ignored`` names, and what lies in it, is left out. Raises ``PathMissing``.
        """

    async def scan(self, path: str, ignored: Collection[str] = ()) -> Scan:
        """What is in a folder, however deep. Raises ``PathMissing``."""

    async def hashes_of(self, paths: Sequence[str]) -> dict[str, str]:
        """SHA-256 in hexadecimal by absolute path of those that are regular files."""

    async def watch(self, path: str, heeded: Callable[[str], bool], *, deep: bool = True) -> Watch:
        """Watches a folder and, ``deep``, those in it. ``heeded``: whether a relative path matters.

        It goes on with a folder that is moved, and ends unnoticed with one that is removed.

        Raises ``PathMissing``, ``PathUnfit``.
        """

    async def start(self, command: str) -> None:
        """Starts a shell command that goes on by itself."""

    async def begin(self, command: Command, on_output: OnOutput) -> RunningCommand:
        """Starts a shell command and listens to it. The vendor ends it some time after its timeout, come what may.

        Raises ``PathMissing`` where its folder is not there.
        """

    async def run(self, command: str, seconds: float = 60) -> str:
        """What a shell command of ours prints. Raises ``Unavailable`` where it fails or takes longer."""

    def url_of(self, port: int) -> str:
        """Where a port is reached from outside."""

    async def preview_answers(self, version: str) -> bool:
        """Whether this version of the preview server answers from outside."""

    async def metrics(self) -> Metrics:
        """What it uses; zeros for what the vendor has not measured yet."""


class SandboxVendor(Protocol):
    """Makes, finds and ends sandboxes. Methods raise ``kit.errors.Unavailable`` where the vendor does not answer."""

    async def create(
        self, labels: dict[str, str], lifetime_seconds: int, key: str
    ) -> VendorSandbox:
        """Makes a sandbox that ends by itself after so long. Repeated with the same key it is the same sandbox."""

    async def connect(self, vendor_id: str, seconds: int = 60) -> VendorSandbox:
        """A sandbox that was made before and runs, for so long at least.

        Raises ``SandboxLost``, also for one that sleeps.
        """

    async def state(self, vendor_id: str) -> VendorState:
        """What a sandbox does."""

    async def pause(self, vendor_id: str) -> None:
        """Puts a sandbox to sleep with its files; one that sleeps is no error.

        Raises ``SandboxLost``, ``CannotPause``.
        """

    async def wake(self, vendor_id: str, seconds: int) -> VendorSandbox:
        """A sandbox that was made before, woken where it sleeps, to run for so long at least.

        Raises ``SandboxLost``.
        """

    async def last(self, vendor_id: str, seconds: int) -> None:
        """Lets a sandbox end so long from now. Raises ``SandboxLost``."""

    async def kill(self, vendor_id: str) -> None:
        """Ends a sandbox; one that is gone is no error."""

    async def exists(self, vendor_id: str) -> bool:
        """Whether there is such a sandbox."""

    async def list(self, labels: dict[str, str]) -> list[Listed]:
        """All sandboxes that have these labels."""

    async def close(self) -> None:
        """Gives back what is held open."""

"""The files of one sandbox: what the agent opens, read and written from here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from local.sandboxes import errors, filesystems
from local.sandboxes.agent import frames
from local.sandboxes.agent_link import AgentLink, Answer, number


@dataclass(frozen=True)
class Entry:
    """One file or directory: size in bytes, times in nanoseconds since 1970."""

    name: str
    kind: str
    path: str
    size: int
    mode: int
    permissions: str
    owner: str
    group: str
    modified_ns: int
    symlink_target: str | None
    is_symlink: bool
    metadata: dict[str, str]


@dataclass(frozen=True)
class OpenFile:
    """A regular file of a sandbox, open here; ``path`` is what the request's path resolved to."""

    path: str
    descriptor: int
    size: int = 0
    modified_ns: int = 0


class Files:
    """File calls of one sandbox; each raises one of ``errors``."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._transfers: set[asyncio.Task[object]] = set()
        self._gone: str | None = None
        self._broken_off: dict[asyncio.Task[object], str] = {}

    @contextlib.asynccontextmanager
    async def reading(self, user: str, path: str) -> AsyncIterator[OpenFile]:
        """A regular file, open for reading."""
        answer = await self._link.ask("read", user, path, takes=1)
        with _checked(answer) as descriptor, self._transfer():
            with self._link.reading():
                resolved, size, modified = answer.fields
                file = OpenFile(_text(resolved), descriptor, number(size), _time(modified))
            yield file

    @contextlib.asynccontextmanager
    async def writing(self, user: str, path: str) -> AsyncIterator[OpenFile]:
        """A regular file, made if need be with its directories, open for writing as it was."""
        answer = await self._link.ask("write", user, path, takes=1)
        with _checked(answer) as descriptor, self._transfer():
            with self._link.reading():
                (resolved,) = answer.fields
            yield OpenFile(_text(resolved), descriptor)

    @contextlib.contextmanager
    def _transfer(self) -> Iterator[None]:
        """While a file is open here, the end of the sandbox, or a pause, ends who uses it.

        A client that reads or sends no further would keep the sandbox's whole disk alive, and what
        arrives while the files are being put away would be acknowledged and lost.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("files are used in tasks")
        self._transfers.add(task)
        try:
            yield
        except asyncio.CancelledError:
            why = self._broken_off.get(task, self._gone)
            if why is None or task.uncancel() > 0:
                raise
            raise errors.UnavailableError(why) from None
        finally:
            self._transfers.discard(task)
            self._broken_off.pop(task, None)

    def cut_off(self, why: str) -> None:
        """Break off what is being read and written; what begins later is not concerned."""
        for task in self._transfers - self._broken_off.keys():
            self._broken_off[task] = why
            task.cancel()

    def close(self, why: str) -> None:
        """The sandbox is gone: break off what is being read and written."""
        self._gone = why
        self.cut_off(why)

    async def stat(self, user: str, path: str) -> Entry:
        """One entry; a symlink is described by its target."""
        return await self._entry("stat", user, path)

    async def list(self, user: str, path: str, depth: int) -> list[Entry]:
        """``depth`` levels below a directory, in lexical order."""
        answer = await self._link.ask("list", user, path, str(depth))
        with self._link.reading():
            return [unpack_entry(one) for one in answer.fields]

    async def make_directory(self, user: str, path: str) -> Entry:
        return await self._entry("make", user, path)

    async def move(self, user: str, source: str, destination: str) -> Entry:
        return await self._entry("move", user, source, destination)

    async def remove(self, user: str, path: str) -> None:
        await self._link.ask("remove", user, path)

    async def _entry(self, name: str, *arguments: str) -> Entry:
        answer = await self._link.ask(name, *arguments)
        with self._link.reading():
            (entry,) = answer.fields
            return unpack_entry(entry)


@contextlib.contextmanager
def _checked(answer: Answer) -> Iterator[int]:
    """The one descriptor of an answer: it comes from inside a jail, so it is looked at first."""
    try:
        if not stat.S_ISREG(os.fstat(answer.descriptors[0]).st_mode):
            raise errors.InternalError("the agent answered with something that is no file")
        if not filesystems.holds_plain_data(answer.descriptors[0]):
            raise errors.InternalError("the agent answered with a file of the kernel's")
        yield answer.descriptors[0]
    finally:
        for one in answer.descriptors:
            os.close(one)


def unpack_entry(packed: bytes) -> Entry:
    """An entry as the agent packs it; raises ValueError for what is none."""
    name, kind, path, size, mode, permissions, owner, group, modified, target, link, extra = (
        frames.unpack(packed)
    )
    pairs = [_text(one) for one in frames.unpack(extra)]
    return Entry(
        name=_text(name),
        kind=_text(kind),
        path=_text(path),
        size=number(size),
        mode=number(mode, most=2**32 - 1),
        permissions=_text(permissions),
        owner=_text(owner),
        group=_text(group),
        modified_ns=_time(modified),
        symlink_target=_text(target) if link else None,
        is_symlink=bool(link),
        metadata=dict(zip(pairs[::2], pairs[1::2], strict=False)),
    )


def _time(value: bytes) -> int:
    return number(value, least=-(2**63))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")

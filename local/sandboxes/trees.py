"""A jail's file tree, out of it and into another: by ``tar`` inside, through a pipe.

Nothing of an archive is looked at here. What a jail packed is unpacked in a jail again, where it can
do no more than the sandbox that it came from.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from local.sandboxes import errors
from local.sandboxes.process import Command
from local.sandboxes.processes import Processes
from local.sandboxes.spawner.jail import MOUNTED

_SECONDS = 120.0
_PIECE = 1024 * 1024
_SAID_BYTES = 2000
# 1: a file changed while it was read. It is in the archive as it was then.
_GOOD = (0, 1)
# A fresh jail's own names of itself.
_OWN = ("etc/hostname", "etc/hosts")
_HOMES = ("/home/user", "/root")
_XATTRS = ("--xattrs", "--xattrs-include=user.*")
_CREATE = ("--create", "--file=-", "--format=posix", "--sparse", "--one-file-system")
_EXTRACT = ("--extract", "--file=-", "--preserve-permissions", "--no-same-owner")


async def capture(processes: Processes, target: Path, limit: int) -> None:
    """Pack a jail's tree into ``target``, which may grow to ``limit`` bytes.

    Raises UnsupportedError without GNU tar, NotEnoughSpaceError, UnavailableError, InternalError.
    """
    excluded = [f"--exclude=./{name}" for name in (*MOUNTED, *_OWN)]
    arguments = [*_CREATE, *_XATTRS, "--ignore-failed-read", "--warning=none", "--anchored"]
    opener = lambda path, flags: os.open(path, flags | os.O_CLOEXEC, 0o600)  # noqa: E731
    with (
        FileIO(str(target), "w", opener=opener) as file,
        _pipe() as (ours, theirs),
        _null() as null,
    ):
        copy = _Copy(ours, file, ours, limit)
        await _tar(processes, [*arguments, *excluded, "."], null, theirs, copy)


async def restore(processes: Processes, source: Path, *, whole: bool) -> None:
    """Unpack an archive into a fresh jail; ``whole``: its homes then hold nothing else.

    Raises NotFoundError without the archive, and what ``capture`` does.
    """
    try:
        file = FileIO(str(source))
    except FileNotFoundError as exc:
        raise errors.NotFoundError("the files to begin with have been deleted") from exc
    arguments = [*_EXTRACT, *_XATTRS, "--delay-directory-restore", "--warning=none"]
    with file, _pipe() as (theirs, ours), _null() as null:
        for home in _HOMES if whole else ():
            await processes.link.ask("remove", "", home)
        copy = _Copy(file, ours, ours, os.fstat(file.fileno()).st_size)
        await _tar(processes, arguments, theirs, null, copy)


async def _tar(
    processes: Processes, arguments: list[str], stdin: FileIO, stdout: FileIO, copy: _Copy
) -> None:
    command = Command("tar", arguments, {}, "/", "root")
    with _pipe() as (heard, said):
        for pipe in (heard, said):
            os.set_blocking(pipe.fileno(), False)  # what does not fit is not worth waiting for
        try:
            async with asyncio.timeout(_SECONDS):
                ended = await processes.start_on(command, [stdin, stdout, said])
                stdin.close()
                stdout.close()
                await copy.done()
                status = await ended
        except errors.InvalidError as exc:
            raise errors.UnsupportedError(f"copying files needs GNU tar: {exc.message}") from exc
        except TimeoutError as exc:
            raise errors.InternalError("copying the sandbox's files took too long") from exc
        if status.exit_code not in _GOOD:
            raise _error(heard.read(_SAID_BYTES) or b"")


def _error(said: bytes) -> errors.EngineError:
    text = said.decode("utf-8", "replace").strip()
    if os.strerror(errno.ENOSPC) in text:
        return errors.NotEnoughSpaceError("the files do not fit on the sandbox's disk")
    return errors.InternalError(f"cannot copy the sandbox's files: {text or 'tar failed'}")


class _Copy:
    """Bytes from one descriptor to the other, whenever ``pipe``, which is one of them, is ready."""

    def __init__(self, source: FileIO, target: FileIO, pipe: FileIO, limit: int) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._source = source
        self._target = target
        self._pipe = pipe
        self._left = limit

    async def done(self) -> None:
        """Return at the end of the source, or when nobody reads any more. Closes the pipe."""
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[None] = loop.create_future()
        descriptor = self._pipe.fileno()
        if self._pipe is self._source:
            loop.add_reader(descriptor, self._move, finished)
        else:
            loop.add_writer(descriptor, self._move, finished)
        try:
            await finished
        finally:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            self._pipe.close()

    def _move(self, finished: asyncio.Future[None]) -> None:
        if finished.done():
            return
        try:
            moved = os.splice(
                self._source.fileno(), self._target.fileno(), _PIECE, flags=os.SPLICE_F_NONBLOCK
            )
        except BlockingIOError:
            return
        except BrokenPipeError:
            moved = 0  # how it ended tells why
        except OSError as exc:
            finished.set_exception(
                errors.NotEnoughSpaceError(f"the engine cannot keep the files: {exc.strerror}")
            )
            return
        self._left -= moved
        if moved == 0:
            finished.set_result(None)
        elif self._left < 0:
            finished.set_exception(errors.NotEnoughSpaceError("the sandbox's files are too many"))


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """A pipe's two ends, the one to read from first."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with FileIO(reader, "r") as first, FileIO(writer, "w") as second:
        yield first, second


@contextlib.contextmanager
def _null() -> Iterator[FileIO]:
    with FileIO(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), "r+") as null:
        yield null

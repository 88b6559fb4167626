"""One command of a sandbox, seen from the engine: its pipes, its readers, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from dataclasses import dataclass

from local.sandboxes import errors
from local.sandboxes.broadcast import Broadcast
from local.sandboxes.logs import CommandLog, Log

_LAST_WORDS = 1024 * 1024
# What may wait for a command that does not read, behind the one input that is being written.
_WAITING_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Command:
    """What is to be run. ``terminal`` is (columns, rows), or None for pipes."""

    cmd: str
    args: list[str]
    envs: dict[str, str]
    cwd: str
    user: str
    tag: str | None = None
    stdin: bool = False
    terminal: tuple[int, int] | None = None


@dataclass(frozen=True)
class Output:
    """Bytes that a process wrote: ``channel`` is stdout, stderr or pty."""

    channel: str
    data: bytes


@dataclass(frozen=True)
class Ended:
    """How a process ended, as Go words it: code -1 and a signal's name when it was killed."""

    exit_code: int
    exited: bool
    status: str

    @classmethod
    def from_wait_status(cls, status: int) -> Ended:
        if os.WIFEXITED(status):
            code = os.WEXITSTATUS(status)
            return cls(code, exited=True, status=f"exit status {code}")
        name = signal.strsignal(os.WTERMSIG(status)) or f"signal {os.WTERMSIG(status)}"
        core = " (core dumped)" if os.WCOREDUMP(status) else ""
        return cls(-1, exited=False, status=f"signal: {name.lower()}{core}")

    @property
    def error(self) -> str | None:
        return None if self.exited and self.exit_code == 0 else self.status


Event = Output | Ended


@dataclass
class Channel:
    """One of its outputs: a descriptor that never blocks, read so many bytes at a time."""

    name: str
    descriptor: int
    chunk: int


class Process:
    """One command. ``events`` carries its output and, last, its end."""

    def __init__(
        self,
        command: Command,
        pid: int,
        channels: list[Channel],
        stdin: int | None,
        log: Log,
    ) -> None:
        self.command = command
        self.pid = pid
        self.ended: Ended | None = None
        self.killed = False
        self.timer: asyncio.TimerHandle | None = None
        self.events: Broadcast[Event] = Broadcast(self._pause)
        self._channels = channels
        self._terminal = channels[0].descriptor if command.terminal else None
        self._stdin = stdin
        self._writing = asyncio.Lock()
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._log = CommandLog(log, command, pid)
        self._listen()

    def _listen(self) -> None:
        for channel in self._channels:
            self._loop.add_reader(channel.descriptor, self._read, channel)

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        if not paused:
            self._listen()
            return
        for channel in self._channels:
            self._loop.remove_reader(channel.descriptor)

    def _read(self, channel: Channel) -> int:
        """Move what is there to the readers; 0 when there is nothing, or nothing any more."""
        try:
            data = os.read(channel.descriptor, channel.chunk)
        except BlockingIOError:
            return 0
        except OSError:  # a terminal's far end is closed
            data = b""
        if not data:
            self._close_channel(channel)
            return 0
        if self.ended is None:
            self.events.send(Output(channel.name, data), len(data))
            self._log.output(channel.name, data)
        return len(data)

    def _close_channel(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)
            self._loop.remove_reader(channel.descriptor)
            os.close(channel.descriptor)
            if channel.descriptor == self._terminal:
                self._terminal = None

    def end(self, ended: Ended) -> None:
        """The command is gone: pass on what it left in its pipes, then its end.

        What it started may hold the pipes open for ever. That output is read on, so that nobody
        blocks on a full pipe, and dropped.
        """
        for channel in list(self._channels):
            left = _LAST_WORDS
            while left > 0 and (got := self._read(channel)):
                left -= got
        self.ended = ended
        self.events.send(ended, 0)
        self._log.ended(ended)
        self._close_stdin()

    @property
    def descriptors(self) -> int:
        """How many the engine holds open for it."""
        return len(self._channels) + (self._stdin is not None)

    @property
    def running(self) -> bool:
        """Whether it has not ended; nothing survives a SIGKILL, so who was sent one has."""
        return self.ended is None and not self.killed

    @property
    def has_output(self) -> bool:
        """Whether somebody still holds the command's output open."""
        return bool(self._channels)

    async def write(self, data: bytes, to_terminal: bool) -> None:
        """Write to the command's terminal or standard input, waiting while it is full.

        Raises ExhaustedError when too much waits already. Who gives up has written a part.
        """
        if self._waiting and self._waiting + len(data) > _WAITING_BYTES:
            raise errors.ExhaustedError(
                f"process '{self.pid}' does not read: no more than {_WAITING_BYTES} bytes wait for it"
            )
        self._waiting += len(data)
        try:
            async with self._writing:  # two writers' bytes must not mix
                await self._write(data, to_terminal)
        finally:
            self._waiting -= len(data)

    async def _write(self, data: bytes, to_terminal: bool) -> None:
        view = memoryview(data)
        while view:
            descriptor = self._input(to_terminal)
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                await self._writable(descriptor)
            except OSError as exc:
                raise errors.ConflictError(
                    f"error writing to process '{self.pid}': {exc.strerror}"
                ) from exc

    def _input(self, to_terminal: bool) -> int:
        if to_terminal:
            if self._terminal is None:
                raise errors.ConflictError("tty not assigned to process")
            return self._terminal
        if self.command.terminal:
            raise errors.ConflictError("tty assigned to process: write to the pty, not to stdin")
        if self._stdin is None:
            raise errors.ConflictError("stdin not enabled or closed")
        return self._stdin

    async def _writable(self, descriptor: int) -> None:
        # A duplicate, because the original is watched for reading and may be closed meanwhile.
        mine = os.dup(descriptor)
        ready = asyncio.Event()
        self._loop.add_writer(mine, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(mine)
            os.close(mine)

    def close_stdin(self) -> None:
        """End of file for the command; raises ConflictError on a terminal."""
        if self.command.terminal:
            raise errors.ConflictError(
                "cannot close stdin for PTY process: send Ctrl+D (0x04) instead"
            )
        self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size in characters."""
        if self._terminal is None:
            raise errors.ConflictError("tty not assigned to process")
        termios.tcsetwinsize(self._terminal, (rows, columns))

    def close(self, why: str) -> None:
        """The sandbox is gone: cut every reader off and let go of the descriptors."""
        self.events.cut_off(why)
        self._close_stdin()
        for channel in list(self._channels):
            self._close_channel(channel)

"""The commands of one sandbox, seen from the engine: their pipes, their readers, their end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.agent_link import AgentLink
from local.sandboxes.broadcast import Broadcast

_KEEP_ENDED_SECONDS = 30.0
_PIPE_CHUNK, _TERMINAL_CHUNK = 32 * 1024, 16 * 1024
_LAST_WORDS = 1024 * 1024
_EARLY = 512


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
class _Channel:
    name: str
    descriptor: int
    chunk: int


class Process:
    """One command. ``events`` carries its output and, last, its end."""

    def __init__(
        self, command: Command, pid: int, channels: list[_Channel], stdin: int | None
    ) -> None:
        self.command = command
        self.pid = pid
        self.ended: Ended | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.events: Broadcast[Event] = Broadcast(self._pause)
        self._channels = channels
        self._terminal = channels[0].descriptor if command.terminal else None
        self._stdin = stdin
        self._writing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._paused = False
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

    def _read(self, channel: _Channel) -> int:
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
        return len(data)

    def _close_channel(self, channel: _Channel) -> None:
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
        self._close_stdin()

    @property
    def has_output(self) -> bool:
        """Whether somebody still holds the command's output open."""
        return bool(self._channels)

    async def write(self, data: bytes, to_terminal: bool) -> None:
        """Write to the command's terminal or standard input, waiting while it is full."""
        async with self._writing:  # two writers' bytes must not mix
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
        import termios

        termios.tcsetwinsize(self._terminal, (rows, columns))

    def close(self, why: str) -> None:
        """The sandbox is gone: cut every reader off and let go of the descriptors."""
        self.events.cut_off(why)
        self._close_stdin()
        for channel in list(self._channels):
            self._close_channel(channel)


@dataclass
class Processes:
    """The process table of one sandbox."""

    link: AgentLink
    environment: Callable[[str], dict[str, str]]
    _table: dict[int, Process] = field(default_factory=dict)
    _early: dict[int, Ended] = field(default_factory=dict)
    _lingering: list[Process] = field(default_factory=list)
    _killing: set[asyncio.Task[None]] = field(default_factory=set)
    _gone: str | None = None

    def running(self) -> list[Process]:
        return [process for process in self._table.values() if process.ended is None]

    def find(self, pid: int | None, tag: str | None) -> Process:
        """By pid or by tag; a process that ended is found for another 30 s."""
        for process in self._table.values():
            if process.pid == pid or (tag is not None and process.command.tag == tag):
                return process
        wanted = f"pid {pid}" if pid is not None else f"tag {tag}"
        raise errors.NotFoundError(f"process with {wanted} not found")

    async def start(self, command: Command, deadline: float = math.inf) -> Process:
        """Start a command; raises InvalidError when it can't be.

        At ``deadline`` (of ``time.monotonic``) it is killed, whether or not anybody follows it.
        """
        env = {**self.environment(command.user), **command.envs}
        fields: list[str | bytes] = [
            command.user,
            command.cwd,
            "{}x{}".format(*command.terminal) if command.terminal else "",
            _packed([command.cmd, *command.args]),
            _packed([f"{key}={value}" for key, value in env.items()]),
        ]
        if command.terminal:
            process = await self._start_on_terminal(command, fields)
        else:
            process = await self._start_on_pipes(command, fields)
        self._keep(process)
        if deadline != math.inf:
            left = max(0.0, deadline - time.monotonic())
            process.timer = asyncio.get_running_loop().call_later(left, self._time_is_up, process)
        return process

    def _time_is_up(self, process: Process) -> None:
        if process.ended is None:
            killing = asyncio.get_running_loop().create_task(self._kill(process))
            self._killing.add(killing)
            killing.add_done_callback(self._killing.discard)

    async def _kill(self, process: Process) -> None:
        with contextlib.suppress(errors.EngineError):
            await self.signal(process, signal.SIGKILL)

    async def _start_on_pipes(self, command: Command, fields: list[str | bytes]) -> Process:
        ours, theirs = _pipes(3 if command.stdin else 2)
        try:
            answer = await self.link.ask("start", *fields, give=theirs)
            pid = int(answer.fields[0])
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)
        channels = [
            _Channel(name, descriptor, _PIPE_CHUNK)
            for name, descriptor in zip(("stdout", "stderr"), ours[:2], strict=True)
        ]
        return Process(command, pid, channels, ours[2] if command.stdin else None)

    async def _start_on_terminal(self, command: Command, fields: list[str | bytes]) -> Process:
        answer = await self.link.ask("start", *fields)
        if len(answer.descriptors) != 1 or not os.isatty(answer.descriptors[0]):
            _close(answer.descriptors)
            raise errors.InternalError("the agent answered without a terminal")
        os.set_blocking(answer.descriptors[0], False)
        channel = _Channel("pty", answer.descriptors[0], _TERMINAL_CHUNK)
        return Process(command, int(answer.fields[0]), [channel], None)

    def _keep(self, process: Process) -> None:
        if self._gone is not None:
            process.close(self._gone)
            raise errors.UnavailableError(self._gone)
        self._table[process.pid] = process
        early = self._early.pop(process.pid, None)
        if early is not None:
            # After the caller has joined: it must see the end of even the shortest command.
            asyncio.get_running_loop().call_soon(self._end, process, early)

    def hear_exit(self, pid: int, status: int) -> None:
        """The agent's word that a command is gone; it can overtake the answer to its start."""
        ended = Ended.from_wait_status(status)
        process = self._table.get(pid)
        if process is None or process.ended is not None:
            if len(self._early) >= _EARLY:
                self._early.clear()  # no honest agent has so many
            self._early[pid] = ended
        else:
            self._end(process, ended)

    def _end(self, process: Process, ended: Ended) -> None:
        process.end(ended)
        if process.timer is not None:
            process.timer.cancel()
        asyncio.get_running_loop().call_later(_KEEP_ENDED_SECONDS, self._forget, process)

    def _forget(self, process: Process) -> None:
        if self._table.get(process.pid) is process:
            del self._table[process.pid]
        process.events.cut_off("the process has ended")
        # What it left running may still write: its pipes are read until they close.
        self._lingering = [one for one in (*self._lingering, process) if one.has_output]

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to a command and its group; raises NotFoundError when it has ended."""
        if process.ended is not None:
            raise errors.NotFoundError(f"process with pid {process.pid} not found")
        await self.link.ask("signal", str(process.pid), str(number))

    def cut_off(self, why: str) -> None:
        """End every stream; the commands stay."""
        for process in self._table.values():
            process.events.cut_off(why)

    def close(self, why: str) -> None:
        """The sandbox is gone."""
        self._gone = why
        for process in (*self._table.values(), *self._lingering):
            process.close(why)
        self._table.clear()
        self._lingering.clear()


def _pipes(count: int) -> tuple[list[int], list[int]]:
    """Two pipes out and perhaps one in: our ends, which never block, and theirs."""
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for index in range(count):
            read, write = os.pipe2(os.O_CLOEXEC)
            mine, other = (write, read) if index == 2 else (read, write)
            os.set_blocking(mine, False)
            ours.append(mine)
            theirs.append(other)
    except OSError as exc:
        _close(ours + theirs)
        raise errors.ExhaustedError("the engine has no descriptor left for a command") from exc
    return ours, theirs


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _packed(texts: list[str]) -> bytes:
    if any("\0" in text for text in texts):
        raise errors.InvalidError("a command, argument or variable contains a NUL character")
    return frames.pack([text.encode("utf-8", "surrogateescape") for text in texts])

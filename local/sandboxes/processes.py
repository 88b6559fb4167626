"""The process table of one sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.agent_link import AgentLink, Answer, number
from local.sandboxes.logs import Log
from local.sandboxes.process import Channel, Command, Ended, Process

_KEEP_ENDED_SECONDS = 30.0
_PIPE_CHUNK, _TERMINAL_CHUNK = 32 * 1024, 16 * 1024
_EARLY = 512
# The engine's descriptors are for all sandboxes. A command that has ended can leave its pipes to
# one that collects them, so the cap on processes does not bound them.
_MAX_DESCRIPTORS = 1024


@dataclass
class Processes:
    """Starts commands, finds them, hears of their end."""

    link: AgentLink
    environment: Callable[[str], dict[str, str]]
    log: Log = field(default_factory=Log)
    _table: dict[int, Process] = field(default_factory=dict)
    _early: dict[int, Ended] = field(default_factory=dict)
    _apart: dict[int, asyncio.Future[Ended]] = field(default_factory=dict)
    _lingering: list[Process] = field(default_factory=list)
    _killing: set[asyncio.Task[None]] = field(default_factory=set)
    _still: asyncio.Event | None = None
    _gone: str | None = None

    def running(self) -> list[Process]:
        return [process for process in self._table.values() if process.running]

    def find(self, pid: int | None, tag: str | None) -> Process:
        """By pid or by tag; a process that ended is found for another 30 s.

        Of several with one tag it is the last that was started.
        """
        if pid in self._table:
            return self._table[pid]
        for process in reversed(self._table.values()):
            if tag is not None and process.command.tag == tag:
                return process
        wanted = f"pid {pid}" if pid is not None else f"tag {tag}"
        raise errors.NotFoundError(f"process with {wanted} not found")

    async def start(self, command: Command, deadline: float = math.inf) -> Process:
        """Start a command; raises InvalidError when it can't be.

        At ``deadline`` (of ``time.monotonic``) it is killed, whether or not anybody follows it.
        """
        while self._still is not None:
            await self._still.wait()
        self._check_room()
        fields = self._fields(command)
        if command.terminal:
            process = await self._start_on_terminal(command, fields)
        else:
            process = await self._start_on_pipes(command, fields)
        self._keep(process)
        if deadline != math.inf:
            left = max(0.0, deadline - time.monotonic())
            process.timer = asyncio.get_running_loop().call_later(left, self._time_is_up, process)
        return process

    async def start_on(self, command: Command, stdio: Sequence[FileIO]) -> asyncio.Future[Ended]:
        """Start a command on the caller's own (stdin, stdout, stderr); answers its end.

        It is none of the sandbox's commands: nobody else can find, follow or signal it.
        """
        stdin, stdout, stderr = (one.fileno() for one in stdio)
        answer = await self.link.ask("start", *self._fields(command), give=[stdout, stderr, stdin])
        pid = self._pid(answer)
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        early = self._early.pop(pid, None)
        if early is not None:
            ended.set_result(early)
        elif self._gone is not None:
            ended.set_exception(errors.UnavailableError(self._gone))
        else:
            self._apart[pid] = ended
        return ended

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Within it no command begins; who starts one waits."""
        over = self._still = asyncio.Event()
        try:
            yield
        finally:
            self._still = None
            over.set()

    def _check_room(self) -> None:
        known = (*self._table.values(), *self._lingering)
        if sum(one.descriptors for one in known) >= _MAX_DESCRIPTORS:
            raise errors.ExhaustedError(
                f"the commands of this sandbox hold {_MAX_DESCRIPTORS} pipes open: end some"
            )

    def _fields(self, command: Command) -> list[str | bytes]:
        """What the agent has to know to start a command."""
        env = {**self.environment(command.user), **command.envs}
        return [
            command.user,
            command.cwd,
            "{}x{}".format(*command.terminal) if command.terminal else "",
            _packed([command.cmd, *command.args]),
            _packed([f"{key}={value}" for key, value in env.items()]),
        ]

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
            pid = self._pid(await self.link.ask("start", *fields, give=theirs))
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)
        channels = [
            Channel(name, descriptor, _PIPE_CHUNK)
            for name, descriptor in zip(("stdout", "stderr"), ours[:2], strict=True)
        ]
        return Process(command, pid, channels, ours[2] if command.stdin else None, self.log)

    async def _start_on_terminal(self, command: Command, fields: list[str | bytes]) -> Process:
        answer = await self.link.ask("start", *fields, takes=1)
        if not os.isatty(answer.descriptors[0]):
            _close(answer.descriptors)
            raise errors.InternalError("the agent answered without a terminal")
        try:
            pid = self._pid(answer)
        except errors.EngineError:
            _close(answer.descriptors)
            raise
        os.set_blocking(answer.descriptors[0], False)
        channel = Channel("pty", answer.descriptors[0], _TERMINAL_CHUNK)
        return Process(command, pid, [channel], None, self.log)

    def _pid(self, answer: Answer) -> int:
        """Of a command that has just started."""
        with self.link.reading():
            (named,) = answer.fields
            pid = number(named, least=1, most=2**31 - 1)
            known = self._table.get(pid)
            if pid in self._apart or (known is not None and known.ended is None):
                raise ValueError("two commands with one pid")
        return pid

    def _keep(self, process: Process) -> None:
        if self._gone is not None:
            process.close(self._gone)
            raise errors.UnavailableError(self._gone)
        known = self._table.pop(process.pid, None)
        if known is not None:  # it has ended, and its pid is another one's now
            self._let_go(known)
        self._table[process.pid] = process
        early = self._early.pop(process.pid, None)
        if early is not None:
            # After the caller has joined: it must see the end of even the shortest command.
            asyncio.get_running_loop().call_soon(self._end, process, early)

    def hear_exit(self, pid: int, status: int) -> None:
        """The agent's word that a command is gone; it can overtake the answer to its start."""
        ended = Ended.from_wait_status(status)
        apart = self._apart.pop(pid, None)
        if apart is not None:
            if not apart.done():
                apart.set_result(ended)
            return
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
            self._let_go(process)

    def _let_go(self, process: Process) -> None:
        process.events.cut_off("the process has ended")
        # What it left running may still write: its pipes are read until they close.
        self._lingering = [one for one in (*self._lingering, process) if one.has_output]

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to a command and its group; raises NotFoundError when it has ended."""
        if not process.running:
            raise errors.NotFoundError(f"process with pid {process.pid} not found")
        await self.link.ask("signal", str(process.pid), str(number))
        process.killed = process.killed or number == signal.SIGKILL

    def cut_off(self, why: str) -> None:
        """End every stream; the commands stay."""
        for process in self._table.values():
            process.events.cut_off(why)

    def close(self, why: str) -> None:
        """The sandbox is gone."""
        self._gone = why
        for process in (*self._table.values(), *self._lingering):
            process.close(why)
        for ended in self._apart.values():
            if not ended.done():
                ended.set_exception(errors.UnavailableError(why))
                ended.exception()  # seen, even when nobody waits any more
        self._table.clear()
        self._apart.clear()
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

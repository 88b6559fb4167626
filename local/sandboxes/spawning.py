"""The engine's end of the spawner: start jails, end them, hear which have ended."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from local.sandboxes.errors import UnavailableError
from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.limits import Limits
from local.sandboxes.spawner.server import MESSAGE_BYTES

log = structlog.get_logger(__name__)

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Plan:
    """What all jails of this engine have in common; descriptors of the filter and the agent."""

    group: str
    bwrap: str
    python: str
    limits: Limits
    seccomp: int
    bundle: int

    def message(self) -> bytes:
        return json.dumps(
            {
                "group": self.group,
                "bwrap": self.bwrap,
                "python": self.python,
                "limits": asdict(self.limits),
            }
        ).encode()


class Uids:
    """Unprivileged uids of this machine, one per jail; none where we may not change ours."""

    def __init__(self, first: int | None, count: int) -> None:
        self._free = list(range(first, first + count)) if first is not None else []
        self.separate = first is not None

    def take(self) -> int | None:
        """A uid that no living jail has, or None where jails share the engine's own."""
        if not self.separate:
            return None
        if not self._free:
            raise UnavailableError("no uid is left for another sandbox")
        # From the front, and back to the end: a uid rests as long as possible before its next use.
        return self._free.pop(0)

    def give_back(self, uid: int | None) -> None:
        if uid is not None:
            self._free.append(uid)


@dataclass(frozen=True)
class _Message:
    """One that the socket has not taken yet; it owns its descriptors."""

    data: bytes
    descriptors: tuple[int, ...]

    def drop(self) -> None:
        for one in self.descriptors:
            os.close(one)


class Spawning:
    """A running spawner process."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._ended: dict[str, Callable[[str], None]] = {}
        self._outgoing: deque[_Message] = deque()
        self.groups = Cgroups({}, 0)
        self.lost = False
        self.on_lost: Callable[[], None] = lambda: None

    @classmethod
    async def begin(cls, plan: Plan) -> Spawning:
        """Start the spawner and wait until it serves."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(  # noqa: S603, ASYNC220 -- our own program, once, before serving
            [sys.executable, "-B", "-m", "local.sandboxes.spawner", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=_ROOT,
            # A session of its own: the terminal's Ctrl-C is for the engine, which then ends it.
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env={"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", os.defpath)},
        )
        theirs.close()
        self = cls(process, ours)
        socket.send_fds(ours, [plan.message()], [plan.seccomp, plan.bundle])
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_START_SECONDS):
            answer = await loop.sock_recv(ours, MESSAGE_BYTES)
        if not answer:
            raise UnavailableError("the spawner ended before it served")
        self._learn(json.loads(answer))
        loop.add_reader(ours.fileno(), self._receive)
        return self

    def _learn(self, hello: dict[str, Any]) -> None:
        roots = {controller: Path(root) for controller, root in hello["roots"].items()}
        self.groups = Cgroups(roots, hello["version"])

    async def start(
        self, sandbox: str, uid: int | None, control: socket.socket, ended: Callable[[str], None]
    ) -> int:
        """Start a jail around ``control``; answers its pid. ``ended`` is called once, with why."""
        theirs = self._duplicate(control, ended)
        started = asyncio.get_running_loop().create_future()
        self._starting[sandbox] = started
        self._ended[sandbox] = ended
        try:
            self._post({"do": "start", "sandbox": sandbox, "uid": uid}, theirs)
            return int(await started)
        finally:
            self._starting.pop(sandbox, None)

    def end(self, pid: int) -> None:
        """Kill a jail; ``ended`` follows when nothing of it is left."""
        self._post({"do": "end", "pid": pid})

    def _duplicate(self, control: socket.socket, ended: Callable[[str], None]) -> int:
        """For a message, which is sent when there is room for it."""
        why = "the spawner ended"
        if self._serves:
            try:
                return os.dup(control.fileno())
            except OSError as exc:
                why = f"the engine has no descriptor left: {exc.strerror}"
        ended(why)
        raise UnavailableError(f"the sandbox did not start: {why}")

    @property
    def _serves(self) -> bool:
        return self._control.fileno() >= 0

    def _post(self, message: dict[str, Any], *descriptors: int) -> None:
        """Send as soon as the socket takes it; then, or when it never will, close the descriptors."""
        if self._serves:
            self._outgoing.append(_Message(json.dumps(message).encode(), descriptors))
            self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._outgoing:
            message = self._outgoing[0]
            try:
                socket.send_fds(self._control, [message.data], message.descriptors)
            except BlockingIOError:  # hundreds begin or end at once: they are taken one by one
                loop.add_writer(self._control.fileno(), self._flush)
                return
            except OSError:
                self._lost()
                return
            self._outgoing.popleft().drop()
        loop.remove_writer(self._control.fileno())

    def _receive(self) -> None:
        while True:
            try:
                data = self._control.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            self._hear(json.loads(data))

    def _hear(self, message: dict[str, Any]) -> None:
        if "started" in message:
            future = self._starting.get(message["started"])
            if future is not None and not future.done():
                future.set_result(message["pid"])
            else:
                self.end(message["pid"])  # who asked for it has given up
            return
        sandbox, why = message["ended"], message["why"]
        future = self._starting.get(sandbox)
        if future is not None and not future.done():
            future.set_exception(UnavailableError(f"the sandbox did not start: {why}"))
        ended = self._ended.pop(sandbox, None)
        if ended is not None:
            ended(why)

    def _hang_up(self) -> None:
        if self._serves:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._control.fileno())
            loop.remove_writer(self._control.fileno())
            self._control.close()
        while self._outgoing:
            self._outgoing.popleft().drop()

    def _lost(self) -> None:
        if self.lost:
            return
        self._hang_up()
        log.error("the spawner ended: no sandbox can be started any more")
        self.lost = True
        for sandbox in list(self._ended):
            self._hear({"ended": sandbox, "why": "the spawner ended"})
        self.on_lost()

    async def close(self) -> None:
        """Let the spawner end all jails and itself, and wait for it."""
        self._hang_up()
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            log.warning("the spawner did not end in time", pid=self._process.pid)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self.lost:  # tidying up is its work, which it can't do any more
            await asyncio.to_thread(self.groups.clear)
            self.groups.remove()

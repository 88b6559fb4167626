"""The engine's end of one agent: requests, answers, descriptors, events.

Whatever runs in a jail may have taken its agent over, so nothing that comes back is believed: a
frame that nobody asked for, or that is none, ends the jail.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from local.sandboxes import errors
from local.sandboxes.agent import frames

# What one turn of the loop takes from a jail that talks without end.
_CHUNK = 32 * 1024
_MAX_FRAME = 1024 * 1024
_MAX_FIELDS = 16 * 1024
# How many answers may be outstanding, for how long: all sandboxes share one engine.
_MAX_WAITING = 512
_ANSWER_SECONDS = 60.0
# What one answer may weigh, and all that are under way over one link; the same for requests that
# the agent has not read. A field costs more than its bytes: 64 covers an object and its place.
_FIELD_BYTES = 64
_MAX_ANSWER = 2 * frames.MAX_ANSWER  # an honest agent's largest, its fields included
_MAX_HELD = _MAX_UNSENT = 32 * 1024 * 1024
_FLAGS = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT


@dataclass
class Answer:
    """Fields of a reply, and the descriptors that came with it: now the receiver's to close."""

    fields: list[bytes]
    descriptors: list[int] = field(default_factory=list)


@dataclass
class _Waiting:
    future: asyncio.Future[Answer]
    takes: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, fields: list[bytes]) -> None:
        """One more part; the answer that grows too large is an error, and its rest is dropped."""
        if self.future.done():
            return
        self.parts += fields
        self.size += sum(map(len, fields)) + _FIELD_BYTES * len(fields)
        if self.size > _MAX_ANSWER:
            self.fail(errors.ExhaustedError(f"the answer is larger than {_MAX_ANSWER} bytes"))

    def fail(self, error: errors.EngineError) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.release()

    def release(self, _: object = None) -> None:
        """Nobody waits any more: nothing is kept for it."""
        self.parts, self.size = [], 0


class AgentLink:
    """One connection; ``on_event`` hears the agent's events, ``on_lost`` that it is over, once."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: Callable[[list[bytes]], None],
        on_lost: Callable[[str], None],
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_event = on_event
        self._on_lost = on_lost
        self._answer_seconds = answer_seconds
        self._reader = frames.Reader(_MAX_FRAME, _MAX_FIELDS)
        self._arrived: list[int] = []
        self._cut_short = False
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._outgoing: list[tuple[memoryview, Sequence[int]]] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._receive)
        self.closed = False

    async def ask(
        self, name: str, *arguments: str | bytes, give: Sequence[int] = (), takes: int = 0
    ) -> Answer:
        """Send a request and wait for its answer; raises one of ``errors``.

        UnavailableError also when there is none within a minute: the request may yet be carried
        out. The descriptors in ``give`` are duplicated to the agent; they stay the caller's to
        close. An answer comes with ``takes`` descriptors, or it ends the jail.
        """
        if self.closed:
            raise errors.UnavailableError("the sandbox has ended")
        if len(self._waiting) >= _MAX_WAITING:
            raise errors.ExhaustedError(f"{_MAX_WAITING} requests wait for the sandbox already")
        self._number = self._number % 0xFFFFFFFF + 1
        number = self._number
        fields = [name.encode(), *(_bytes(argument) for argument in arguments)]
        try:
            data = frames.frame(number, frames.REQUEST, fields, len(give))
        except frames.BadFrameError as exc:
            raise errors.InvalidError(f"the request is too large: {exc}") from exc
        if sum(len(one) for one, _ in self._outgoing) + len(data) > _MAX_UNSENT:
            raise errors.ExhaustedError(
                f"{_MAX_UNSENT} bytes wait to be read by the sandbox already"
            )
        duplicates = _duplicates(give)
        waiting = _Waiting(self._loop.create_future(), takes)
        self._waiting[number] = waiting
        self._outgoing.append((memoryview(data), duplicates))
        self._send()
        late = errors.UnavailableError("the sandbox does not answer")
        timer = self._loop.call_later(self._answer_seconds, waiting.fail, late)
        waiting.future.add_done_callback(waiting.release)
        # An abandoned request stays in the table: its answer may bring descriptors to be closed.
        waiting.future.add_done_callback(_see_error)
        try:
            return await waiting.future
        except asyncio.CancelledError:
            _close_unseen(waiting.future)
            raise
        finally:
            timer.cancel()

    def _send(self) -> None:
        while self._outgoing:
            data, descriptors = self._outgoing[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            try:
                sent = self._socket.sendmsg([data], rights if descriptors else [])
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._send)
                return
            except OSError as exc:
                self._fail(f"the agent hung up: {exc}")
                return
            _close_all(descriptors)
            if sent < len(data):
                self._outgoing[0] = (data[sent:], ())
            else:
                self._outgoing.pop(0)
        self._loop.remove_writer(self._socket.fileno())

    def _receive(self) -> None:
        # One read a turn: a jail that floods its socket gets its share of the loop and no more.
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(_CHUNK, 1024, _FLAGS)
        except BlockingIOError:
            return
        except OSError as exc:
            self._fail(f"the agent hung up: {exc}")
            return
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = array.array("i")
                whole.frombytes(payload[: len(payload) - len(payload) % whole.itemsize])
                self._arrived += whole
        self._cut_short = self._cut_short or bool(flags & socket.MSG_CTRUNC)
        if not data:
            self._fail("the agent ended")
            return
        try:
            for number, kind, count, fields in self._reader.feed(data):
                given, self._arrived = self._arrived[:count], self._arrived[count:]
                self._take(number, kind, fields, given)
                if self.closed:
                    return
            if len(self._arrived) > frames.MAX_FDS:
                raise frames.BadFrameError("descriptors without a frame")
        except (frames.BadFrameError, ValueError, LookupError, ArithmeticError) as exc:
            self._fail(f"the agent broke the protocol: {exc}")

    def _take(self, number: int, kind: int, fields: list[bytes], given: list[int]) -> None:
        if kind == frames.EVENT:
            _close_all(given)
            self._on_event(fields)
            return
        waiting = self._waiting.get(number)
        if waiting is None:
            _close_all(given)
            raise frames.BadFrameError("an answer that nobody asked for")
        if kind == frames.MORE:
            _close_all(given)
            waiting.add(fields)
            if sum(one.size for one in self._waiting.values()) > _MAX_HELD:
                waiting.fail(
                    errors.ExhaustedError(f"the answers under way exceed {_MAX_HELD} bytes")
                )
            return
        if kind == frames.ERROR:
            _close_all(given)
            code, message = (one.decode("utf-8", "replace") for one in fields)
            waiting.fail(errors.from_agent(code, message))
        elif kind != frames.OK:
            _close_all(given)
            raise frames.BadFrameError("an answer of no known kind")
        elif len(given) != waiting.takes:
            _close_all(given)
            self._miss(waiting)
        elif waiting.future.done():
            _close_all(given)
        else:
            waiting.future.set_result(Answer(waiting.parts + fields, given))
        # Only now: of a broken protocol, who waits for this answer hears as well.
        del self._waiting[number]

    def _miss(self, waiting: _Waiting) -> None:
        """An answer without the descriptors that belong to it: the agent's fault, or our limit's."""
        if not (waiting.takes and self._cut_short):
            raise frames.BadFrameError("an answer with too many descriptors, or too few")
        self._cut_short = False
        waiting.fail(errors.ExhaustedError("the engine has no descriptor left for an answer"))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Within it an answer's fields are read: what makes no sense of them ends the jail.

        That is a ValueError, IndexError or BadFrameError; an InternalError is raised instead.
        """
        try:
            yield
        except (frames.BadFrameError, ValueError, IndexError) as exc:
            self._fail(f"the agent broke the protocol: {exc}")
            raise errors.InternalError("the sandbox's agent broke the protocol") from exc

    def hung_up(self) -> bool:
        """Whether the other end is closed, also before the loop has come to see it."""
        if self.closed:
            return True
        try:
            return not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _fail(self, why: str) -> None:
        if not self.closed:
            self.close()
            self._on_lost(why)

    def close(self) -> None:
        """Hang up; what still waits fails with UnavailableError."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        arrived, self._arrived = self._arrived, []
        _close_all(arrived)
        for _, descriptors in self._outgoing:
            _close_all(descriptors)
        self._outgoing.clear()
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.fail(errors.UnavailableError("the sandbox has ended"))


def number(field: bytes, least: int = 0, most: int = 2**63 - 1) -> int:
    """A number that an agent sent; raises ValueError when it is none, or out of bounds."""
    found = int(field)
    if not least <= found <= most:
        raise ValueError("a number out of bounds")
    return found


def _bytes(argument: str | bytes) -> bytes:
    return argument if isinstance(argument, bytes) else argument.encode("utf-8", "surrogateescape")


def _duplicates(descriptors: Sequence[int]) -> list[int]:
    made: list[int] = []
    try:
        made += (os.dup(one) for one in descriptors)
    except OSError as exc:
        _close_all(made)
        raise errors.ExhaustedError("the engine has no descriptor left for a request") from exc
    return made


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _close_unseen(future: asyncio.Future[Answer]) -> None:
    """The answer can have come in the very turn in which who waits for it gives up."""
    if future.done() and not future.cancelled() and future.exception() is None:
        _close_all(future.result().descriptors)


def _see_error(future: asyncio.Future[Answer]) -> None:
    """One that nobody awaits any more is not to be reported as unhandled."""
    if not future.cancelled():
        future.exception()

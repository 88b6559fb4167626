"""The agent's loop: one request at a time, in order; none of them waits for anything outside."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # it has no type stub
import _socket as socket
import os
import select
import sys

from . import errors, files, frames, furniture, hardening, processes, watching

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 256 * 1024
_MAX_WATCHERS = 64
_MAX_TEXT = 8192
_SOL_TCP, _TCP_NODELAY = 6, 1


class Agent:
    """Answers the engine over one Unix socket."""

    def __init__(self, control: int) -> None:
        self._socket = socket.socket(fileno=control)
        self._reader = frames.Reader()
        self._arrived: list[int] = []
        self._processes = processes.Processes(control)
        self._poll = select.poll()
        self._watchers: dict[int, watching.Watcher] = {}
        self._wake, wakened = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answer until the engine hangs up."""
        self._send(0, frames.EVENT, [b"ready"])
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._wake:
                    self._reap()
                elif descriptor in self._watchers:
                    self._tell_changes(descriptor)
                elif not self._receive():
                    return

    def _reap(self) -> None:
        os.read(self._wake, 4096)
        for pid, status in self._processes.reap():
            self._send(0, frames.EVENT, [b"exit", b"%d" % pid, b"%d" % status])

    def _receive(self) -> bool:
        space = socket.CMSG_SPACE(4 * frames.MAX_FDS)
        data, ancillary, _, _ = self._socket.recvmsg(_CHUNK, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = len(payload) - len(payload) % 4
                self._arrived += [
                    int.from_bytes(payload[at : at + 4], sys.byteorder) for at in range(0, whole, 4)
                ]
        for number, _, count, fields in self._reader.feed(data):
            given, self._arrived = self._arrived[:count], self._arrived[count:]
            self._answer(number, fields, given)
        return bool(data)

    def _answer(self, number: int, fields: list[bytes], given: list[int]) -> None:
        returned: list[int] = []
        try:
            answer, returned = self._perform(number, fields, given)
            self._send(number, frames.OK, answer, returned)
        except errors.AgentError as exc:
            self._send(number, frames.ERROR, [exc.code.encode(), _text(exc.message)])
        except Exception as exc:  # noqa: BLE001 -- one failed request must not end the sandbox
            self._send(number, frames.ERROR, [errors.INTERNAL.encode(), _text(repr(exc))])
        finally:
            for descriptor in given + returned:
                os.close(descriptor)

    def _perform(self, number: int, fields: list[bytes], given: list[int]) -> files.Answer:
        name, arguments = fields[0], fields[1:]
        call = _FILE_CALLS.get(name)
        if call is not None:
            return call(*[os.fsdecode(argument) for argument in arguments])
        if name == b"list":
            return self._list(number, *arguments)
        if name == b"start":
            return self._start(arguments, given)
        if name == b"signal":
            self._processes.signal(int(arguments[0]), int(arguments[1]))
            return [], []
        if name == b"dial":
            return [], [_dial(int(arguments[0]))]
        if name == b"watch":
            return self._watch(*arguments), []
        if name == b"unwatch":
            self._unwatch(int(arguments[0]))
            return [], []
        if name == b"disk":
            return _disk(), []
        raise errors.AgentError(errors.INVALID, f"unknown request {name!r}")

    def _list(self, number: int, user: bytes, path: bytes, depth: bytes) -> files.Answer:
        """A tree can outgrow a frame: all but the last part go ahead as MORE."""
        part: list[bytes] = []
        size = whole = 0
        for entry in files.walk(os.fsdecode(user), os.fsdecode(path), int(depth)):
            part.append(entry)
            size += len(entry)
            whole += len(entry)
            if whole > frames.MAX_ANSWER:
                raise errors.AgentError(errors.EXHAUSTED, "the listing is too large: list less")
            if size > _CHUNK:
                self._send(number, frames.MORE, part)
                part, size = [], 0
        return part, []

    def _start(self, fields: list[bytes], given: list[int]) -> files.Answer:
        user, cwd, terminal = os.fsdecode(fields[0]), os.fsdecode(fields[1]), fields[2]
        argv, env = frames.unpack(fields[3]), frames.unpack(fields[4])
        if terminal:
            columns, rows = terminal.split(b"x")
            pid, master = self._processes.start_on_terminal(
                user, cwd, argv, env, (int(columns), int(rows))
            )
            return [b"%d" % pid], [master]
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stdin = given[2] if len(given) > 2 else null
            pid = self._processes.start(user, cwd, argv, env, [stdin, given[0], given[1]])
        finally:
            os.close(null)
        return [b"%d" % pid], []

    def _watch(
        self, user: bytes, path: bytes, recursive: bytes, with_entries: bytes
    ) -> list[bytes]:
        if len(self._watchers) >= _MAX_WATCHERS:
            raise errors.AgentError(errors.EXHAUSTED, f"more than {_MAX_WATCHERS} watchers")
        watcher = watching.Watcher(
            os.fsdecode(user), os.fsdecode(path), bool(recursive), bool(with_entries)
        )
        self._watchers[watcher.descriptor] = watcher
        self._poll.register(watcher.descriptor, select.POLLIN)
        return [b"%d" % watcher.descriptor]

    def _unwatch(self, descriptor: int) -> None:
        watcher = self._watchers.pop(descriptor, None)
        if watcher is not None:
            self._poll.unregister(descriptor)
            watcher.close()

    def _tell_changes(self, descriptor: int) -> None:
        watcher = self._watchers.get(descriptor)
        for kind, path, entry in watcher.read() if watcher is not None else ():
            fields = [b"change", b"%d" % descriptor, kind, os.fsencode(path), entry]
            self._send(0, frames.EVENT, fields)

    def _send(
        self, number: int, kind: int, fields: list[bytes], descriptors: list[int] | None = None
    ) -> None:
        descriptors = descriptors or []
        data = memoryview(frames.frame(number, kind, fields, len(descriptors)))
        rights = b"".join(one.to_bytes(4, sys.byteorder) for one in descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        sent = self._socket.sendmsg([data], ancillary)
        while sent < len(data):
            sent += self._socket.send(data[sent:])


def _dial(port: int) -> int:
    """A socket connected, or about to be, to a port of this jail; IPv4 first, then IPv6."""
    refusal: OSError = ConnectionRefusedError()
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
        try:
            connection.setsockopt(_SOL_TCP, _TCP_NODELAY, 1)
            connection.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as exc:
            connection.close()
            refusal = exc
            continue
        return connection.detach()
    raise errors.AgentError(errors.REFUSED, f"port {port} is not open: {refusal}")


def _disk() -> list[bytes]:
    """Bytes in use and bytes in all of the jail's own tree."""
    found = os.statvfs("/")
    return [
        b"%d" % ((found.f_blocks - found.f_bfree) * found.f_frsize),
        b"%d" % (found.f_blocks * found.f_frsize),
    ]


def _text(message: str) -> bytes:
    """What is said of an error; it may quote a path of any length."""
    return message[:_MAX_TEXT].encode("utf-8", "surrogateescape")


_FILE_CALLS: dict[bytes, Callable[..., files.Answer]] = {
    b"read": files.read,
    b"write": files.write,
    b"stat": files.stat,
    b"make": files.make,
    b"move": files.move,
    b"remove": files.remove,
}


def main() -> None:
    """Arguments: the control socket's number, the host name, a cap on processes or 0."""
    control, hostname, pids = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in processes.IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    os.set_inheritable(control, False)
    furniture.arrange(hostname)
    if pids:
        hardening.cap_processes(pids)
    hardening.set_dumpable(False)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    Agent(control).serve()
    os._exit(0)

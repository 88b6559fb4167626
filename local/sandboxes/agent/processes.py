"""Commands: started in a session of their own, reaped, signalled as a group."""

from __future__ import annotations

# The plain module builds enums on import, which costs milliseconds; it has no type stub.
import _signal as signal  # type: ignore[import-not-found]
import os

from . import errors, hardening, paths

_TIOCSWINSZ = 0x5414
# Ignored by process 1, and an ignored signal stays ignored across exec.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
_BACK_TO_DEFAULT = (*IGNORED, signal.SIGCHLD, signal.SIGXFSZ)


class Processes:
    """The commands that this agent started and has not reaped."""

    def __init__(self, control: int) -> None:
        self._control = control
        self._running: set[int] = set()

    def start(
        self, user: str, cwd: str, argv: list[bytes], env: list[bytes], stdio: list[int]
    ) -> int:
        """Start a command on the three descriptors of ``stdio``; answers its pid."""
        folder = paths.resolve(cwd, user)
        if not os.path.isdir(folder):
            raise errors.AgentError(errors.INVALID, f"cwd '{folder}' does not exist")
        report, told = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError as exc:
            os.close(report)
            os.close(told)
            raise errors.from_os_error(exc, "cannot start a process") from None
        if pid == 0:
            self._become(folder, argv, env, stdio, told)
        os.close(told)
        failure = _read_all(report)
        if failure:
            os.waitpid(pid, 0)
            raise errors.AgentError(errors.INVALID, failure.decode("utf-8", "replace"))
        self._running.add(pid)
        return pid

    def start_on_terminal(
        self, user: str, cwd: str, argv: list[bytes], env: list[bytes], size: tuple[int, int]
    ) -> tuple[int, int]:
        """Start a command on a terminal of its own; answers its pid and the terminal's far end."""
        try:
            master, slave = os.openpty()
        except OSError as exc:
            raise errors.from_os_error(exc, "cannot open a terminal") from None
        try:
            resize(master, *size)
            return self.start(user, cwd, argv, env, [slave, slave, slave]), master
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a command and all of its group."""
        if pid not in self._running:
            raise errors.AgentError(errors.NOT_FOUND, f"process with pid {pid} not found")
        try:
            os.killpg(pid, number)
        except OSError as exc:
            raise errors.from_os_error(exc, f"cannot signal process {pid}") from None

    def reap(self) -> list[tuple[int, int]]:
        """The commands that have ended since the last call, with their wait status."""
        ended: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if pid in self._running:  # the others are orphans that process 1 inherits
                self._running.discard(pid)
                ended.append((pid, status))

    def _become(
        self, folder: str, argv: list[bytes], env: list[bytes], stdio: list[int], told: int
    ) -> None:
        """In the child: turn into the command, or report why not; never returns."""
        try:
            os.close(self._control)
            hardening.offer_to_the_oom_killer()
            os.setsid()
            if os.isatty(stdio[0]):
                # Opening a terminal without one makes it the session's own.
                os.close(os.open(os.ttyname(stdio[0]), os.O_RDWR))
            for target, source in enumerate(stdio):
                os.dup2(source, target)
            for number in _BACK_TO_DEFAULT:
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)
            os.umask(0o022)
            # Running what the caller asks for is what a sandbox is for.
            os.execvpe(argv[0], argv, dict(pair.split(b"=", 1) for pair in env))  # noqa: S606
        except BaseException as exc:  # noqa: BLE001 -- a forked child must end here, whatever it is
            name = os.fsdecode(argv[0]) if argv else ""
            os.write(told, (f"error starting process '{name}': {exc}").encode()[:2000])
        os._exit(127)


def resize(terminal: int, columns: int, rows: int) -> None:
    """Set a terminal's size in characters."""
    import fcntl  # only who opens a terminal pays for it

    size = rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
    fcntl.ioctl(terminal, _TIOCSWINSZ, size)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 4096):
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)

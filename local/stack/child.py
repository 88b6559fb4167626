"""One supervised process: started, its lines passed on, started again when it dies."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable

from local.stack.plan import Process

FIRST_BACKOFF = 0.3
LONGEST_BACKOFF = 10.0
# A process that lived so long was well: its next death is a first one again.
WELL_SECONDS = 30.0
BAD_SETTING = 2
# A process that has never answered is not started for ever.
MOST_DEATHS_AT_START = 4
_PR_SET_PDEATHSIG = 1

Say = Callable[[str, str], None]
"""Takes a process's name and a line."""


class Child:
    """Keeps one process of the plan alive."""

    def __init__(self, process: Process, say: Say) -> None:
        """Nothing starts before ``keep_running``."""
        self.process = process
        self._say = say
        self._running: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.restarts = 0
        self.was_ready = False

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        running = self._running
        return running.pid if running and running.returncode is None else None

    async def keep_running(self) -> None:
        """Runs the process until ``stop``. Raises ``BadSetting`` where it says that it can't start at all."""
        backoff = FIRST_BACKOFF
        while True:
            begun = asyncio.get_running_loop().time()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if code == BAD_SETTING and not self.was_ready:
                raise BadSetting(f"{self.process.name} can't start: its last line above says why")
            if not self.was_ready and self.restarts >= MOST_DEATHS_AT_START:
                raise BadSetting(f"{self.process.name} can't start ({_cause(code)})")
            if asyncio.get_running_loop().time() - begun > WELL_SECONDS:
                backoff = FIRST_BACKOFF
            self._say(
                "supervisor",
                f"{self.process.name} died ({_cause(code)}); starting it again in {backoff:.1f} s",
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            self.restarts += 1
            if self._stopping.is_set():
                return

    async def stop(self, seconds: float) -> None:
        """Asks the process to end, and ends it when it takes longer."""
        self._stopping.set()
        running = self._running
        if running is None or running.returncode is not None:
            return
        running.terminate()
        try:
            await asyncio.wait_for(running.wait(), seconds)
        except TimeoutError:
            self._say("supervisor", f"{self.process.name} did not end in {seconds:.0f} s: killed")
            running.kill()
            await running.wait()

    def kill(self) -> None:
        """Ends the process at once."""
        self._stopping.set()
        if self._running is not None and self._running.returncode is None:
            self._running.kill()

    async def _run_once(self) -> int:
        self._running = await asyncio.create_subprocess_exec(
            *self.process.command,
            env=dict(self.process.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=1024 * 1024,
            # A Ctrl-C in the terminal is the supervisor's alone: it stops the others in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        if self._stopping.is_set():
            self._running.kill()
        await self._pass_on(self._running)
        return await self._running.wait()

    async def _pass_on(self, running: asyncio.subprocess.Process) -> None:
        if running.stdout is None:
            raise RuntimeError("the process has no output")
        while True:
            try:
                line = await running.stdout.readline()
            except ValueError:
                # A line beyond the limit: what was read of it is dropped, the rest follows.
                continue
            if not line:
                return
            self._say(self.process.name, line.decode(errors="replace").rstrip())


class BadSetting(Exception):
    """A process can't start at all, and has said why; the text names it."""


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """In the new process: a supervisor that is killed takes its children with it."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""The spawner's loop: start and end jails as the engine says, tell it which have ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from local.sandboxes.spawner.cgroups import Cgroups
from local.sandboxes.spawner.jail import Recipe, launch
from local.sandboxes.spawner.monitor import first_process

MESSAGE_BYTES = 16 * 1024
_STDERR_BYTES = 2000
_RETRY_MS = 20
_LAST_SECONDS = 60.0


@dataclass
class _Jail:
    name: str
    errors: int


class Spawner:
    """Serves one engine over ``control``, a SEQPACKET socket, until it closes."""

    def __init__(self, control: socket.socket, recipe: Recipe, groups: Cgroups) -> None:
        self._control = control
        self._recipe = recipe
        self._groups = groups
        self._jails: dict[int, _Jail] = {}
        self._ending: set[str] = set()  # killed, but not gone yet
        self._dirty: set[str] = set()  # ended, but their groups still hold a dying process
        self._tidied = 0.0
        self._wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the engine is gone; then end every jail, wait for them and tidy up."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while self._step(poll):
            self._tidy()
        self._close()

    def _step(self, poll: select.poll) -> bool:
        for descriptor, _ in poll.poll(_RETRY_MS if self._dirty or self._ending else None):
            if descriptor == self._wake:
                os.read(self._wake, 4096)
                self._reap()
            elif not self._receive():
                return False
        return True

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        if not data:
            return False
        message = json.loads(data)
        if message["do"] == "start":
            self._start(message["sandbox"], message["uid"], descriptors[0])
        else:
            self._end(message["pid"])
        return True

    def _start(self, sandbox: str, uid: int | None, control: int) -> None:
        errors, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if self._groups.available:
                self._groups.create(sandbox, self._recipe.limits)
            pid = launch(self._recipe, self._groups, sandbox, uid, control, told)
        except OSError as exc:
            os.close(errors)
            self._dirty.add(sandbox)
            self._tell({"ended": sandbox, "why": f"cannot start a jail: {exc}"})
        else:
            self._jails[pid] = _Jail(sandbox, errors)
            self._tell({"started": sandbox, "pid": pid})
        finally:
            os.close(told)
            os.close(control)

    def _end(self, pid: int) -> None:
        """Kill process 1 of the jail: then the monitor's own end says that all of it is gone."""
        if pid in self._jails:
            self._ending.add(self._jails[pid].name)
            self._groups.let_die(self._jails[pid].name)
            with contextlib.suppress(ProcessLookupError):
                os.kill(first_process(pid) or pid, signal.SIGKILL)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            jail = self._jails.pop(pid, None)
            if jail is None:
                continue
            why = _read_and_close(jail.errors) or f"status {os.waitstatus_to_exitcode(status)}"
            self._ending.discard(jail.name)
            if not self._groups.destroy(jail.name):
                self._dirty.add(jail.name)
            self._tell({"ended": jail.name, "why": why})

    def _tidy(self) -> None:
        """What has to be tried again, now and then: hundreds of jails can be ending at once."""
        now = time.monotonic()
        if now < self._tidied + _RETRY_MS / 1000:
            return
        self._tidied = now
        for name in self._ending:
            self._groups.let_die(name)  # again: the engine may have been about to freeze it
        self._dirty = {name for name in self._dirty if not self._groups.destroy(name)}

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the engine may be gone; serve() will notice
            self._control.send(json.dumps(message).encode())

    def _close(self) -> None:
        for pid in list(self._jails):
            self._end(pid)
        while self._jails:
            pid, _ = os.waitpid(-1, 0)
            self._jails.pop(pid, None)
        # Nobody waits: where the engine does, it ends us when its patience is over.
        self._groups.clear(_LAST_SECONDS)
        self._groups.remove()


def _read_and_close(descriptor: int) -> str:
    try:
        return os.read(descriptor, _STDERR_BYTES).decode("utf-8", "replace").strip()
    except BlockingIOError:
        return ""
    finally:
        os.close(descriptor)

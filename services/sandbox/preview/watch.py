"""Looks for changes while somebody wants to know of them."""

from __future__ import annotations

import _thread
import os
import time
from select import select

from .shown import Shown, View

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket

POLL_SECONDS = 0.05
MAX_LISTENERS = 64


class Listener:
    """Whoever is told of changes; those that it has not heard of yet wait for it."""

    def __init__(self, view: View) -> None:
        """``view`` is what it knows of."""
        self.view = view
        self.pending: dict[str, str] = {}
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)

    def wait(self, client: socket, seconds: float) -> None:
        """Returns when there is something to hear of, or after so long. Raises ``OSError`` for who has left."""
        ears: list[socket | int] = [client, self._ear]
        ready, _, _ = select(ears, [], [], seconds)
        if self._ear in ready:
            os.read(self._ear, 4096)
        elif client in ready and not client.recv(4096):
            raise OSError("left")

    def tell(self, view: View, changes: dict[str, str]) -> None:
        """More has changed."""
        for path, kind in changes.items():
            was_added = self.pending.get(path) == "added" and kind == "changed"
            self.pending[path] = "added" if was_added else kind
        self.view = view
        try:
            os.write(self._mouth, b".")
        except BlockingIOError:
            return  # it has much to read already

    def close(self) -> None:
        """It is told nothing any more."""
        os.close(self._ear)
        os.close(self._mouth)


class Watch:
    """One thread for all listeners, and none while there are none."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._lock = _thread.allocate_lock()
        self._listeners: list[Listener] = []
        self._looking = False

    def begin(self) -> Listener | None:
        """One listener more; ``None`` where there are too many."""
        with self._lock:
            if len(self._listeners) == MAX_LISTENERS:
                return None
            # Taken now: what changes before the thread begins is a change.
            listener = Listener(self._shown.view())
            if not self._looking:
                _thread.start_new_thread(self._look, (listener.view,))
                self._looking = True
            self._listeners.append(listener)
            return listener

    def end(self, listener: Listener) -> None:
        """One listener less."""
        with self._lock:
            self._listeners.remove(listener)
            listener.close()

    def news(self, listener: Listener) -> tuple[str, dict[str, str]]:
        """The version now, and what has happened to which path since this was last asked."""
        with self._lock:
            pending, listener.pending = listener.pending, {}
            return listener.view.version, pending

    def _look(self, before: View) -> None:
        while True:
            begun = time.monotonic()
            try:
                now = self._shown.view()
            except MemoryError:
                now = before
            cost = time.monotonic() - begun
            changes = now.differences(before)
            with self._lock:
                if changes:
                    for listener in self._listeners:
                        listener.tell(now, changes)
                if not self._listeners:
                    self._looking = False
                    return
            before = now
            # A large project is looked at less often: never more than a tenth of one processor.
            time.sleep(max(POLL_SECONDS, cost * 10))

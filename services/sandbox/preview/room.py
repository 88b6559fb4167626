"""How many clients there may be at once."""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket

_SHUT_BOTH = 2


class Room:
    """Where it is full, clients that only keep their connection open have to leave."""

    def __init__(self, size: int) -> None:
        """``size``: clients at once."""
        self._free = size
        self._idle: dict[int, socket] = {}
        self._lock = _thread.allocate_lock()
        self._left = _thread.allocate_lock()
        self._left.acquire()

    def enter(self) -> None:
        """Takes the place of one client, as soon as there is one."""
        while True:
            with self._lock:
                if self._free:
                    self._free -= 1
                    return
                if self._idle:
                    _hang_up(self._idle.pop(next(iter(self._idle))))
            self._left.acquire()

    def leave(self, client: socket) -> None:
        """Gives the place back."""
        with self._lock:
            self._idle.pop(id(client), None)
            self._free += 1
            if self._left.locked():
                self._left.release()

    def idle(self, client: socket) -> None:
        """The client waits for nothing: it may be hung up on."""
        with self._lock:
            self._idle[id(client)] = client

    def busy(self, client: socket) -> None:
        """The client waits for an answer."""
        with self._lock:
            self._idle.pop(id(client), None)


def _hang_up(client: socket) -> None:
    try:
        client.shutdown(_SHUT_BOTH)
    except OSError:
        return  # it has left by itself

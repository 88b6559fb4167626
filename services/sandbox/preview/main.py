"""Listens, and gives each client a thread."""

# Importing pathlib, socket and threading costs a sandbox two megabytes: these are what they are made of.
# ruff: noqa: PTH103, SLF001

from __future__ import annotations

import _socket
import _thread
import os
import time
from errno import EADDRINUSE

from .answers import Answers
from .connection import Connection
from .drafts import Drafts
from .folder import Folder
from .room import Room
from .shown import Shown
from .turn import taken_over
from .watch import Watch

MAX_CONNECTIONS = 128
BACKLOG = 128
STACK_BYTES = 256 * 1024


def main(
    path: str,
    drafts: str,
    port: int,
    *,
    version: str = "",
    draft_seconds: float = 120,
    single_page: bool = False,
) -> None:
    """Serves a folder on a port (0: a free one) for ever; prints the port when it listens. See ``bundle.Options``.

    Returns where a server of the same version has the port already.
    """
    os.makedirs(path, exist_ok=True)
    _thread.stack_size(STACK_BYTES)
    folder = Folder(path)
    shown = Shown(folder, Drafts(drafts, folder, draft_seconds))
    answers = Answers(shown, single_page=single_page, version=version)
    watch = Watch(shown)
    room = Room(MAX_CONNECTIONS)
    listener = _listening(port) or taken_over(path, drafts, port, version, _listening)
    if listener is None:
        return
    print(listener.getsockname()[1], flush=True)
    while True:
        room.enter()
        client = _accepted(listener)
        try:
            _thread.start_new_thread(_serve, (client, answers, watch, room))
        except RuntimeError:  # no more threads now
            room.leave(client)
            client.close()


def _serve(client: _socket.socket, answers: Answers, watch: Watch, room: Room) -> None:
    try:
        Connection(client, answers, watch, room).serve()
    finally:
        room.leave(client)
        client.close()


def _listening(port: int) -> _socket.socket | None:
    """A socket that listens; ``None`` where somebody else has the port."""
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    # All interfaces: it is inside a sandbox, and the vendor's proxy comes from outside of it.
    try:
        listener.bind(("0.0.0.0", port))  # noqa: S104 - as said
    except OSError as exc:
        listener.close()
        if exc.errno != EADDRINUSE:
            raise
        return None
    listener.listen(BACKLOG)
    return listener


def _accepted(listener: _socket.socket) -> _socket.socket:
    while True:
        try:
            descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # what socket.accept() calls
        except OSError:
            time.sleep(0.05)  # a client that has left already, or no descriptor is free
            continue
        client = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, descriptor)
        # A head and a body are two writes; what is waited for is seldom more.
        client.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return client

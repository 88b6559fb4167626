"""Listens, and gives each client a thread."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH103

from __future__ import annotations

import os
import socket
import threading

from .connection import Connection
from .folder import Folder

MAX_CONNECTIONS = 128
STACK_BYTES = 256 * 1024


def main(path: str, port: int) -> None:
    """Serves a folder on a port (0: a free one) for ever; prints the port when it listens."""
    os.makedirs(path, exist_ok=True)
    threading.stack_size(STACK_BYTES)
    folder = Folder(path)
    room = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def serve(client: socket.socket) -> None:
        try:
            with client:
                Connection(client, folder).serve()
        finally:
            room.release()

    # All interfaces: it is inside a sandbox, and the vendor's proxy comes from outside of it.
    with socket.create_server(("0.0.0.0", port), backlog=128) as listener:  # noqa: S104 - as said
        print(listener.getsockname()[1], flush=True)
        while True:
            room.acquire()
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

"""What pages listen to: server-sent events about changed files."""

from __future__ import annotations

import socket

from .folder import Folder
from .http import Refused, head
from .text import json_text

KEEPALIVE_SECONDS = 15.0
_HEADERS = {
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",
    # A page in a sandboxed frame has no origin of its own.
    "Access-Control-Allow-Origin": "*",
}


def stream(client: socket.socket, folder: Folder) -> None:
    """Tells what changes until the client leaves: ``OSError``. Raises ``Refused`` where too many listen."""
    if not folder.watch():
        raise Refused(503)
    try:
        client.sendall(head(200, _HEADERS, None, keep=False))
        with folder.changed:
            seen = folder.count
        version = folder.fresh_version()
        client.sendall(f"retry: 500\nevent: version\ndata: {version}\n\n".encode())
        while True:
            seen = _next(client, folder, seen)
    finally:
        folder.unwatch()


def _next(client: socket.socket, folder: Folder, seen: int) -> int:
    with folder.changed:
        folder.changed.wait_for(lambda: folder.count != seen, KEEPALIVE_SECONDS)
        count, version, paths = folder.count, folder.version, folder.since(seen)
    if count == seen:
        client.sendall(b": still here\n\n")
    else:
        listed = ",".join(json_text(path) for path in paths)
        told = f'{{"version":{json_text(version)},"paths":[{listed}]}}'
        client.sendall(f"event: change\ndata: {told}\n\n".encode())
    return count

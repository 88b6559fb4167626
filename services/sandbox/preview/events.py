"""What pages listen to: server-sent events about what changed."""

from __future__ import annotations

from .http import Refused, head
from .text import json_text
from .watch import Listener, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket

KEEPALIVE_SECONDS = 15.0
HEADERS = {
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",
    # A page in a sandboxed frame has no origin of its own.
    "Access-Control-Allow-Origin": "*",
}


def stream(client: socket, watch: Watch) -> None:
    """Tells what changes until the client leaves: ``OSError``. Raises ``Refused`` where too many listen."""
    listener = watch.begin()
    if listener is None:
        raise Refused(503)
    try:
        begun = f"retry: 500\nevent: version\ndata: {listener.view.version}\n\n"
        client.sendall(head(200, HEADERS, None, keep=False) + begun.encode())
        while True:
            _next(client, watch, listener)
    finally:
        watch.end(listener)


def _next(client: socket, watch: Watch, listener: Listener) -> None:
    listener.wait(client, KEEPALIVE_SECONDS)
    version, changes = watch.news(listener)
    if not changes:
        client.sendall(b": still here\n\n")
        return
    listed = ",".join(f"{json_text(path)}:{json_text(kind)}" for path, kind in changes.items())
    told = f'{{"version":{json_text(version)},"paths":{{{listed}}}}}'
    client.sendall(f"event: change\ndata: {told}\n\n".encode())

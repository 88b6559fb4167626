"""Whether a server that has just been started answers."""

from __future__ import annotations

import asyncio
import re
import socket

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-4])\d\d ")
_MAX_BYTES = 1024 * 1024


async def answers(connection: socket.socket, path: str) -> bool:
    """Whether a GET of ``path`` is answered with a status below 500; without one, being connected is enough.

    Closes the connection.
    """
    if not path:
        connection.close()
        return True
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        )
        answer = await reader.read(_MAX_BYTES)
        # Read to its end: a server whose first client hangs up on it may not be through with its first answer.
        while await reader.read(_MAX_BYTES):
            pass
    except OSError:
        return False
    finally:
        writer.close()
    return _STATUS.match(answer) is not None

"""The way from a request to a connection inside a sandbox."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time

from local.sandboxes import errors
from local.sandboxes.engine import Engine
from local.sandboxes.sandbox import Sandbox

TRAFFIC_HEADER = b"e2b-traffic-access-token"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1


class Dialler:
    """Connects to ports; ``port_wait`` is how many seconds a server gets to open its own."""

    def __init__(self, engine: Engine, port_wait: float) -> None:
        self._engine = engine
        self._port_wait = port_wait

    def admit(self, sandbox_id: str, token: str) -> Sandbox:
        """The sandbox, if its traffic is open to who holds ``token``.

        Raises SandboxNotFoundError or PermissionDeniedError.
        """
        sandbox = self._engine.running(sandbox_id)
        if sandbox.order.private_traffic:
            expected = sandbox.identity.traffic_token.encode()
            if not hmac.compare_digest(token.encode(), expected):
                raise errors.PermissionDeniedError("the traffic access token is missing or wrong")
        return sandbox

    async def dial(self, sandbox: Sandbox, port: int) -> socket.socket:
        """A connection; raises PortClosedError when nothing opens the port in time."""
        deadline = time.monotonic() + self._port_wait
        pause = _FIRST_PAUSE
        while True:
            try:
                return await sandbox.dial(port)
            except errors.PortClosedError:
                # Without a running command nobody is about to open the port.
                if time.monotonic() + pause > deadline or not sandbox.processes.running():
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

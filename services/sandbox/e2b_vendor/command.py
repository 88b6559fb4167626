"""One command in a sandbox at E2B."""

from __future__ import annotations

import signal

from e2b import AsyncCommandHandle, CommandExitException

from services.sandbox.commands import Ended
from services.sandbox.e2b_vendor.errors import translated, unavailable
from services.sandbox.vendor import RunningCommand


class E2bCommand(RunningCommand):
    """One command at E2B."""

    def __init__(self, handle: AsyncCommandHandle[None]) -> None:
        """Made by ``E2bSandbox``."""
        self._handle = handle

    @property
    def pid(self) -> int:
        """See ``RunningCommand``."""
        return int(self._handle.pid)

    async def wait(self) -> Ended:
        """See ``RunningCommand``."""
        with translated():
            try:
                await self._handle.wait()
            except CommandExitException as exc:
                return Ended(exc.exit_code, _signal_name(exc.error or ""))
            except Exception as exc:
                if type(exc) is not Exception:
                    raise
                # A bare one is how the SDK tells that the stream ended before the command did.
                raise unavailable("SANDBOX_VENDOR_DOWN", 1.0) from exc
        return Ended(0)

    async def kill(self) -> None:
        """See ``RunningCommand``."""
        with translated():
            await self._handle.kill()

    async def let_go(self) -> None:
        """See ``RunningCommand``."""
        await self._handle.disconnect()


def _signal_name(told: str) -> str:
    """E2B tells a signal by its description: ``signal: killed``."""
    kind, _, description = told.partition(": ")
    if kind != "signal":
        return ""
    wanted = description.partition(" (core dumped)")[0]
    for number in signal.Signals:
        if (signal.strsignal(number) or "").lower() == wanted.lower():
            return number.name
    return description

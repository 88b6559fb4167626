"""Tests the connection to E2B, or to whatever is configured in its place: ``python -m services.sandbox.verify``.

Each step is told with its time. The exit code is 0 where all went well, 1 otherwise, and the last line says why.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from kit.errors import ServiceError
from kit.ids import new_id
from kit.log import configure
from kit.settings import read
from services.sandbox.e2b_vendor import E2bAccess, E2bSandbox, E2bVendor
from services.sandbox.model import Content
from services.sandbox.settings import E2bSettings
from services.sandbox.vendor import SandboxLost, Upload

_LIFETIME_SECONDS = 120
_COMMAND_SECONDS = 30
_TEXT = b"Sandwright was here.\n"
_PATH = "/home/user/verify.txt"
_VERDICTS = {
    "SANDBOX_VENDOR_REFUSED": "the key was refused: check E2B_API_KEY",
    "SANDBOX_VENDOR_BUSY": "the account's rate limit is reached: wait and try again",
    "SANDBOX_VENDOR_QUOTA": "the account's quota is reached: close sandboxes, or have it raised",
    "SANDBOX_VENDOR_LATE": "the answer takes too long: check the network and SANDBOX_E2B_TIMEOUT_SECONDS",
    "SANDBOX_VENDOR_UNKNOWN": "the host name is unknown: check the network's DNS, E2B_DOMAIN and E2B_API_URL",
    "SANDBOX_VENDOR_DOWN": "nothing answers: check the network, E2B_DOMAIN and E2B_API_URL",
    "SANDBOX_VENDOR_FAILED": "the vendor failed: try again, and look at its status page",
}
Step = Callable[[], Awaitable[None]]


class WrongAnswer(Exception):
    """A step went through with another result than it must have."""


class Verification:
    """One sandbox from its creation to its end."""

    def __init__(self, vendor: E2bVendor) -> None:
        """Nothing connects before the first step."""
        self._vendor = vendor
        self._sandbox: E2bSandbox | None = None

    @property
    def steps(self) -> dict[str, Step]:
        """The steps in their order."""
        return {
            "key": self._key,
            "create": self._create,
            "write a file": self._write,
            "read it": self._read,
            "run Python": self._python,
            "run a command": self._command,
            "close": self.close,
        }

    async def close(self) -> None:
        """Ends the sandbox, where there is one."""
        if self._sandbox is not None:
            sandbox, self._sandbox = self._sandbox, None
            await self._vendor.kill(sandbox.vendor_id)

    @property
    def _live(self) -> E2bSandbox:
        if self._sandbox is None:
            raise WrongAnswer("there is no sandbox")
        return self._sandbox

    async def _key(self) -> None:
        await self._vendor.list({"sandwright_verify": "key"})

    async def _create(self) -> None:
        made = await self._vendor.create(
            {"sandwright_verify": "sandbox"}, _LIFETIME_SECONDS, new_id("ver")
        )
        if not isinstance(made, E2bSandbox):
            raise WrongAnswer("not a sandbox of E2B")
        self._sandbox = made

    async def _write(self) -> None:
        await self._live.write([Upload(_PATH, Content(io.BytesIO(_TEXT), len(_TEXT)))])

    async def _read(self) -> None:
        pieces = [piece async for piece in await self._live.read(_PATH)]
        _expect(b"".join(pieces), _TEXT)

    async def _python(self) -> None:
        _expect(await self._live.run("python3 -c 'print(6 * 7)'", _COMMAND_SECONDS), "42\n")

    async def _command(self) -> None:
        _expect(await self._live.run(f"wc -c < {_PATH}", _COMMAND_SECONDS), f"{len(_TEXT)}\n")


async def verify(vendor: E2bVendor) -> bool:
    """Runs all steps and prints how they went; whether all did."""
    verification = Verification(vendor)
    try:
        for name, step in verification.steps.items():
            begun = time.perf_counter()
            problem = await _problem(step)
            ms = (time.perf_counter() - begun) * 1000
            print(f"  {name:<16}{ms:10.1f} ms   {'FAILED' if problem else 'ok'}", flush=True)
            if problem:
                print(f"\nnot connected: {problem}")
                return False
    finally:
        await _problem(verification.close)
        await vendor.close()
    print("\nconnected: every step went well")
    return True


async def _problem(step: Step) -> str:
    """Why a step failed; empty where it did not."""
    try:
        await step()
    except ServiceError as exc:
        return _VERDICTS.get(exc.reason, exc.message)
    except SandboxLost:
        return "the sandbox vanished"
    except WrongAnswer as exc:
        return str(exc)
    return ""


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise WrongAnswer(f"expected {wanted!r}, found {found!r}")


def main() -> int:
    """Verifies by the environment; the exit code."""
    settings = read(E2bSettings)
    configure("verify", "console", "error")
    where = settings.e2b_api_url or settings.e2b_domain or "E2B"
    print(f"sandboxes at {where}, template {settings.e2b_template}\n", flush=True)
    # A template that is missing is to be told, not replaced.
    access = replace(E2bAccess.of(settings), fallback="")
    return 0 if asyncio.run(verify(E2bVendor(access))) else 1


if __name__ == "__main__":
    sys.exit(main())

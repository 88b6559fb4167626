"""Runs the sandbox service: ``python -m services.sandbox``."""

from __future__ import annotations

from kit import log
from kit.server import run, serve
from kit.settings import LogSettings, read
from services.sandbox.app import build, prepare
from services.sandbox.settings import SandboxSettings


async def main(settings: SandboxSettings) -> None:
    """Migrates, then serves until it is told to stop."""
    await prepare(settings)
    await serve(settings, build(settings))


if __name__ == "__main__":
    logs = read(LogSettings)
    log.configure("sandbox", logs.format, logs.level)
    run(main(read(SandboxSettings)))

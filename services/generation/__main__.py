"""Runs the generation service: ``python -m services.generation``."""

from __future__ import annotations

from kit import log
from kit.server import run, serve
from kit.settings import LogSettings, read
from services.generation.app import build, prepare
from services.generation.settings import GenerationSettings


async def main(settings: GenerationSettings) -> None:
    """Migrates, then serves until it is told to stop."""
    await prepare(settings)
    await serve(settings, build(settings))


if __name__ == "__main__":
    logs = read(LogSettings)
    log.configure("generation", logs.format, logs.level)
    run(main(read(GenerationSettings)))

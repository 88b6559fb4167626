"""Runs the projects service: ``python -m services.projects``."""

from __future__ import annotations

from kit import log
from kit.server import run, serve
from kit.settings import LogSettings, read
from services.projects.app import build, prepare
from services.projects.settings import ProjectsSettings


async def main(settings: ProjectsSettings) -> None:
    """Migrates, then serves until it is told to stop."""
    await prepare(settings)
    await serve(settings, build(settings))


if __name__ == "__main__":
    logs = read(LogSettings)
    log.configure("projects", logs.format, logs.level)
    run(main(read(ProjectsSettings)))

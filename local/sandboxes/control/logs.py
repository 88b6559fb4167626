"""The routes of a sandbox's log."""

from __future__ import annotations

from local.sandboxes.control import journal
from local.sandboxes.control.http import ONE, Answer, Request, Route
from local.sandboxes.engine import Engine


class Logs:
    """Version 1 answers lines, version 2 entries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        """Those of this file."""
        return [
            Route.to("GET", f"{ONE}/logs", self._lines),
            Route.to("GET", f"/v2{ONE}/logs", self._entries),
        ]

    async def _lines(self, request: Request) -> Answer:
        log = self._engine.get(request.path["id"]).log
        return Answer(200, journal.first_version(log, request.query))

    async def _entries(self, request: Request) -> Answer:
        log = self._engine.get(request.path["id"]).log
        return Answer(200, journal.second_version(log, request.query))

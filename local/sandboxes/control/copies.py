"""The routes of snapshots, forks and templates."""

from __future__ import annotations

from local.sandboxes import errors
from local.sandboxes.control import bodies, listing
from local.sandboxes.control.http import ONE, Answer, Defaults, Request, Route
from local.sandboxes.control.statuses import status_of
from local.sandboxes.engine import Engine
from local.sandboxes.sandbox import Sandbox


class Copies:
    """``domain`` is what follows ``{port}-{id}.`` in host names."""

    def __init__(self, engine: Engine, domain: str, defaults: Defaults) -> None:
        self._engine = engine
        self._domain = domain
        self._defaults = defaults

    def routes(self) -> list[Route]:
        """Those of this file."""
        return [
            Route.to("POST", f"{ONE}/snapshots", self._snapshot),
            Route.to("POST", f"{ONE}/fork", self._fork),
            Route.to("GET", "/snapshots", self._list),
            Route.to("GET", "/templates/aliases/(?P<alias>.+)", self._alias),
            Route.to("DELETE", "/templates/(?P<template>.+)", self._delete),
        ]

    async def _snapshot(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.NewSnapshot, request.body)
        asked.refuse_the_impossible()
        made = await self._engine.snapshot(request.path["id"], asked.name)
        return Answer(201, bodies.snapshot(made))

    async def _fork(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Fork, request.body)
        seconds = self._defaults.legacy_timeout if asked.timeout is None else asked.timeout
        results = await self._engine.fork(request.path["id"], asked.count, seconds)
        return Answer(201, [self._forked(one) for one in results])

    def _forked(self, result: Sandbox | errors.EngineError) -> dict[str, object]:
        if isinstance(result, errors.EngineError):
            return {"error": {"code": status_of(result), "message": result.message}}
        return {"sandbox": bodies.created(result, self._domain)}

    async def _list(self, request: Request) -> Answer:
        sandbox_id = request.query.get("sandboxID", [""])[0]
        name = request.query.get("name", [""])[0]
        found = self._engine.sources.snapshots(sandbox_id, name)
        shown, headers = listing.snapshots(found, request.query)
        return Answer(200, [bodies.snapshot(one) for one in shown], headers)

    async def _alias(self, request: Request) -> Answer:
        found = self._engine.sources.template_id(request.path["alias"])
        return Answer(200, {"templateID": found, "public": False})

    async def _delete(self, request: Request) -> Answer:
        self._engine.sources.delete(request.path["template"])
        return Answer(204)

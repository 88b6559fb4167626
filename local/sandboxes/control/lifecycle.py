"""The routes of one sandbox's life. A handler checks, calls the engine and puts its answer into words."""

from __future__ import annotations

from local.sandboxes.control import bodies, listing
from local.sandboxes.control.http import ONE, Answer, Defaults, Request, Route
from local.sandboxes.control.once import CreateOnce
from local.sandboxes.engine import Engine


class Lifecycle:
    """``domain`` is what follows ``{port}-{id}.`` in host names."""

    def __init__(self, engine: Engine, domain: str, defaults: Defaults) -> None:
        self._engine = engine
        self._domain = domain
        self._defaults = defaults
        self._once = CreateOnce(engine)

    def routes(self) -> list[Route]:
        """Those of this file."""
        return [
            Route.to("POST", "(?P<v2>/v2)?/sandboxes", self._create),
            Route.to("GET", "(/v2)?/sandboxes", self._list),
            Route.to("GET", ONE, self._info),
            Route.to("DELETE", ONE, self._kill),
            Route.to("POST", f"(?P<v2>/v2)?{ONE}/connect", self._connect),
            Route.to("POST", f"(?P<v2>){ONE}/resume", self._connect),
            Route.to("POST", f"{ONE}/pause", self._pause),
            Route.to("POST", f"{ONE}/timeout", self._timeout),
            Route.to("POST", f"{ONE}/refreshes", self._refresh),
            Route.to("GET", f"{ONE}/metrics", self._metrics),
            Route.to("PUT", f"{ONE}/network", self._network),
        ]

    def _default_timeout(self, request: Request) -> int:
        return self._defaults.timeout if request.path["v2"] else self._defaults.legacy_timeout

    async def _create(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.NewSandbox, request.body)
        order = asked.order(self._default_timeout(request))
        sandbox = await self._once.create(request.idempotency_key, order)
        return Answer(201, bodies.created(sandbox, self._domain))

    async def _list(self, request: Request) -> Answer:
        found, headers = listing.sandboxes(self._engine.all(), request.query)
        limits = self._engine.caps.limits
        return Answer(200, [bodies.listed(one, limits) for one in found], headers)

    async def _info(self, request: Request) -> Answer:
        sandbox = self._engine.get(request.path["id"])
        return Answer(200, bodies.detail(sandbox, self._engine.caps.limits, self._domain))

    async def _kill(self, request: Request) -> Answer:
        self._engine.kill(request.path["id"])
        return Answer(204)

    async def _connect(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Connect, request.body)
        seconds = self._default_timeout(request) if asked.timeout is None else asked.timeout
        sandbox, resumed = await self._engine.connect(
            request.path["id"], seconds, reboot=not asked.memory
        )
        return Answer(201 if resumed else 200, bodies.created(sandbox, self._domain))

    async def _pause(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Pause, request.body)
        await self._engine.pause(request.path["id"], memory=asked.memory)
        return Answer(204)

    async def _timeout(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Timeout, request.body)
        self._engine.set_timeout(request.path["id"], asked.timeout)
        return Answer(204)

    async def _refresh(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Refresh, request.body)
        seconds = self._defaults.legacy_timeout if asked.duration is None else asked.duration
        self._engine.refresh(request.path["id"], seconds)
        return Answer(204)

    async def _metrics(self, request: Request) -> Answer:
        measured = await self._engine.metrics(request.path["id"])
        limits = self._engine.caps.limits
        return Answer(200, [bodies.metrics(measured, limits)] if measured is not None else [])

    async def _network(self, request: Request) -> Answer:
        self._engine.get(request.path["id"])
        bodies.parse(bodies.Network, request.body).refuse_the_impossible()
        return Answer(204)

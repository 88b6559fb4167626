"""What listens in a sandbox."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kit.errors import Unavailable
from services.sandbox.commands import Port
from services.sandbox.inside import program
from services.sandbox.service.lifecycle import Lifecycle

_SECONDS = 5.0
# E2B's own daemon.
_VENDORS_OWN = ("49983",)


class Ports:
    """Lists the ports of a project's sandbox."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """Sandboxes are found by ``lifecycle``."""
        self._lifecycle = lifecycle

    async def list(self, project_id: str, owner_id: str) -> list[Port]:
        """Every TCP port that something listens on, by number. Raises ``NotFound`` (SANDBOX_NOT_FOUND)."""
        async with self._lifecycle.using(project_id, owner_id) as (_, live):
            said = await live.run(program("listening", *_VENDORS_OWN), _SECONDS)
            return [replace(port, url=live.url_of(port.number)) for port in _ports(said)]


def _ports(said: str) -> list[Port]:
    try:
        found: list[dict[str, Any]] = json.loads(said)
        return [
            Port(
                number=int(one["port"]),
                process_name=str(one["process"]),
                pid=int(one["pid"]),
                ready=bool(one["ready"]),
            )
            for one in found
        ]
    except (ValueError, KeyError, TypeError) as exc:
        # Another Python may have been put in the place of the sandbox's own.
        raise Unavailable(
            "the sandbox does not tell its ports", reason="SANDBOX_UNFIT", retry_after=1.0
        ) from exc

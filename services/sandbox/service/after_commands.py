"""What a command has done to a project's files."""

from __future__ import annotations

from services.sandbox.model import Sandbox
from services.sandbox.service.syncing import Syncing
from services.sandbox.service.watching import Watching


class TakingOver:
    """Told of commands, it sees to it that the store gets what they do, and what they leave running does later."""

    def __init__(self, watching: Watching, syncing: Syncing) -> None:
        """Whoever is watched is watched a while longer."""
        self._watching = watching
        self._syncing = syncing

    async def after_command(self, sandbox: Sandbox) -> None:
        """Returns when the store has what was done so far."""
        async with self._watching.of(sandbox.project_id, sandbox.owner_id):
            await self._syncing.finish(sandbox)

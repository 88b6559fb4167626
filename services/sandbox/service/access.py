"""Whose a project is. Its owner never changes, so the answer is remembered for a while."""

from __future__ import annotations

import time
from collections import OrderedDict

from kit.context import current_principal
from kit.errors import PermissionDenied
from services.sandbox.projects_peer import ProjectsPeer

_REMEMBERED = 10_000
# A deleted project is forgotten by then; until then the store refuses whatever needs it.
_SECONDS = 300.0


class Access:
    """Tells whether the caller may touch a project."""

    def __init__(self, projects: ProjectsPeer) -> None:
        """Asks ``projects`` what it doesn't remember."""
        self._projects = projects
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def check(self, project_id: str) -> str:
        """The owner, who is the caller.

        Raises ``NotFound`` (PROJECT_NOT_FOUND) where it is somebody else's, ``PermissionDenied`` where a service calls
        for nobody.
        """
        principal = current_principal()
        if principal is None or not principal.user_id:
            raise PermissionDenied("this method needs a user", reason="USER_NEEDED")
        key = (principal.user_id, project_id)
        until = self._known.get(key, 0.0)
        if until < time.monotonic():
            await self._projects.owner(project_id)
            self._known[key] = time.monotonic() + _SECONDS
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return key[0]

    def forget(self, project_id: str, owner_id: str) -> None:
        """The project is gone."""
        self._known.pop((owner_id, project_id), None)

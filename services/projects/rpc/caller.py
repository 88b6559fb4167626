"""For whom a call is made."""

from __future__ import annotations

from kit.context import current_principal
from kit.errors import PermissionDenied


def owner() -> str:
    """Id of the user who calls or for whom a service calls. Raises ``PermissionDenied`` where there is none."""
    if found := anybody():
        return found
    raise PermissionDenied("this method needs a user", reason="USER_NEEDED")


def anybody() -> str:
    """As ``owner``, but empty where a service calls for nobody."""
    principal = current_principal()
    return principal.user_id if principal else ""

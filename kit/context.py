"""What belongs to the call that is being served: its id and who makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a user, or a service for a user or for itself."""

    user_id: str
    """Empty where a service calls for nobody."""
    service: str = ""
    """Name of the calling service; empty where a user calls."""
    token: str = ""
    """The user's own access token, to be passed on; empty where a service calls."""


_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current_principal() -> Principal | None:
    """Who makes the call that is being served; ``None`` in a public call and outside of calls."""
    return _principal.get()


def current_user() -> str:
    """Id of the user who calls, or for whom a service calls.

    Raises ``LookupError`` outside of a user's call: a fault of ours, since the method's policy asks for a user.
    """
    principal = _principal.get()
    if principal is None or not principal.user_id:
        raise LookupError("no user in this call")
    return principal.user_id


def set_principal(principal: Principal | None) -> None:
    """Sets who calls for the rest of this task."""
    _principal.set(principal)


@contextmanager
def acting_for(user_id: str, service: str) -> Iterator[None]:
    """Inside of it, calls to peers carry the service's own token for this user (or for nobody: ``""``)."""
    token = _principal.set(Principal(user_id=user_id, service=service))
    try:
        yield
    finally:
        _principal.reset(token)

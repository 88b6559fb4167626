"""The engine's errors: a closed set, which each protocol maps to its own statuses."""

from __future__ import annotations


class EngineError(Exception):
    """The root of the set; the message is meant for the caller."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidError(EngineError):
    """The request can't be carried out as it stands."""


class UnauthenticatedError(EngineError):
    """No key, or a wrong one."""


class PermissionDeniedError(EngineError):
    """The jail's file system refuses."""


class NotFoundError(EngineError):
    """A file, process or watcher does not exist."""


class SandboxNotFoundError(NotFoundError):
    """A sandbox does not exist (any more)."""

    def __init__(self, sandbox: str) -> None:
        super().__init__(f"Sandbox \"{sandbox}\" doesn't exist or you don't have access to it")


class SandboxPausedError(SandboxNotFoundError):
    """A sandbox exists and is paused: for who asks whether it runs, as good as not found."""


class AlreadyExistsError(EngineError):
    """What should be made is there."""


class ConflictError(EngineError):
    """The sandbox is not in a state that allows this."""


class NotEnoughSpaceError(EngineError):
    """The sandbox's disk is full."""


class ExhaustedError(EngineError):
    """A limit of the sandbox, or of the engine, is reached."""


class PortClosedError(EngineError):
    """Nothing listens on that port of the sandbox."""


class UnsupportedError(EngineError):
    """A single machine can't do this; the message says so."""


class UnavailableError(EngineError):
    """The sandbox ended, or did not start."""


class StartError(EngineError):
    """A template's start command failed, or its ready check never passed."""


class InternalError(EngineError):
    """What should not happen."""


_AGENT_CODES: dict[str, type[EngineError]] = {
    "invalid": InvalidError,
    "unauthenticated": UnauthenticatedError,
    "not_found": NotFoundError,
    "exists": AlreadyExistsError,
    "denied": PermissionDeniedError,
    "precondition": ConflictError,
    "no_space": NotEnoughSpaceError,
    "exhausted": ExhaustedError,
    "refused": PortClosedError,
}


def from_agent(code: str, message: str) -> EngineError:
    """An agent's answer as one of the set."""
    return _AGENT_CODES.get(code, InternalError)(message)

"""The preview proxy: any port of a sandbox, as its server speaks."""

from __future__ import annotations

from local.sandboxes import errors
from local.sandboxes.model import State
from local.sandboxes.preview import pages
from local.sandboxes.preview.dialling import Dialler
from local.sandboxes.preview.heads import Request
from local.sandboxes.preview.lines import Lines
from local.sandboxes.preview.pages import Page
from local.sandboxes.preview.upstream import Upstream
from local.sandboxes.sandbox import Sandbox


class Proxy:
    """Finds the connection for a request, or the page that says why there is none."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._lines = Lines(dialler)

    def at_hand(self, request: Request) -> Upstream | None:
        """A kept connection, where one can be used: its server may have closed it meanwhile, so
        it is for what can be sent again."""
        if not request.repeatable:
            return None
        target = request.target
        sandbox = self._dialler.at_hand(target.sandbox_id, request.token)
        if sandbox is None:
            return None
        request.mask = _mask(sandbox, target.port)
        return self._lines.idle(sandbox, target.port)

    async def connect(self, request: Request, *, fresh: bool) -> Upstream | Page:
        """A connection, a new one if ``fresh``."""
        target = request.target
        try:
            sandbox = await self._dialler.admit(target.sandbox_id, request.token)
            request.mask = _mask(sandbox, target.port)
            return await self._lines.connect(
                sandbox, target.port, fresh=fresh or not request.repeatable
            )
        except errors.EngineError as exc:
            return self._page(exc, request)

    def unanswered(self, request: Request) -> Page:
        """There was a connection, and no response, or none that is HTTP."""
        return self._page(errors.PortClosedError("no response"), request)

    def _page(self, error: errors.EngineError, request: Request) -> Page:
        if isinstance(error, errors.PermissionDeniedError):
            return pages.token_missing(request)
        if isinstance(error, errors.SandboxPausedError):
            return pages.paused(request)
        if isinstance(error, errors.SandboxNotFoundError):
            return pages.no_sandbox(request)
        # The port, or the sandbox itself, which may have ended or been paused meanwhile.
        state = self._dialler.state(request.target.sandbox_id)
        if state is State.RUNNING:
            return pages.port_closed(request)
        return pages.no_sandbox(request) if state is None else pages.paused(request)


def _mask(sandbox: Sandbox, port: int) -> bytes:
    return sandbox.order.mask_host.replace("${PORT}", str(port)).encode()

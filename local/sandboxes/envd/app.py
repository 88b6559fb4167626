"""The daemon of all sandboxes: one ASGI application that finds the sandbox by the request."""

from __future__ import annotations

from e2b.envd.filesystem.filesystem_connect import FilesystemASGIApplication
from e2b.envd.process.process_connect import ProcessASGIApplication

from local.sandboxes import errors
from local.sandboxes.asgi import Receive, Scope, Send, answer, answer_json, header
from local.sandboxes.engine import Engine
from local.sandboxes.envd.access import check_token
from local.sandboxes.envd.files import FilesEndpoint, authenticate
from local.sandboxes.envd.filesystem import FilesystemService
from local.sandboxes.envd.hangups import call_while_connected
from local.sandboxes.envd.process import ProcessService
from local.sandboxes.preview.pages import not_found

# Parsing holds everybody up, most of all a message of many small parts. No program can be started
# with more arguments and variables than this.
_CALL_BYTES = 2 * 1024 * 1024
# A command's standard input arrives in one message, which is one part.
_INPUT_BYTES = 64 * 1024 * 1024
_INPUT = frozenset(("/process.Process/SendInput", "/process.Process/StreamInput"))


class EnvdApp:
    """Routes by path."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._files = FilesEndpoint(engine)
        self._filesystem = FilesystemASGIApplication(
            FilesystemService(engine), read_max_bytes=_CALL_BYTES, compressions=()
        )
        service = ProcessService(engine)
        self._process = ProcessASGIApplication(service, read_max_bytes=_CALL_BYTES, compressions=())
        self._input = ProcessASGIApplication(service, read_max_bytes=_INPUT_BYTES, compressions=())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            await self._wake(scope)
        except errors.SandboxNotFoundError:
            await not_found(scope, send)
            return
        except errors.EngineError as exc:
            status = 401 if isinstance(exc, errors.UnauthenticatedError) else 503
            await answer_json(send, status, {"code": status, "message": exc.message})
            return
        if path.startswith("/filesystem.Filesystem/"):
            await self._filesystem(scope, receive, send)
        elif path in _INPUT:
            await call_while_connected(self._input, scope, receive, send)
        elif path.startswith("/process.Process/"):
            await self._process(scope, receive, send)
        elif path == "/files":
            await self._files(scope, receive, send)
        elif path == "/health":
            await answer(send, 204, b"", "text/plain")
        else:
            await answer_json(send, 404, {"code": 404, "message": f"no route {path}"})

    async def _wake(self, scope: Scope) -> None:
        """Have the sandbox running. Who may not use it must not wake it either."""
        sandbox = self._engine.get(scope["target"].sandbox_id)
        if sandbox.wakes:
            if scope["path"] == "/files":
                authenticate(sandbox, scope)
            else:
                check_token(sandbox, header(scope, b"x-access-token"))
        await self._engine.wake(sandbox.sandbox_id)

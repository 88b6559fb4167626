"""``python -m local.sandboxes``: settings, build, serve. Exit code 2 says that it can't run here."""

from __future__ import annotations

import sys

import structlog
import uvloop
from pydantic import ValidationError

from kit import log as logs
from local.sandboxes import app, server
from local.sandboxes.bundle import BundleError
from local.sandboxes.preflight import UnfitError
from local.sandboxes.settings import Settings
from local.sandboxes.templates import TemplateError

log = structlog.get_logger(__name__)


async def _run(settings: Settings) -> int:
    stop = server.stop_on_signals()
    try:
        listener = server.listen(settings.host, settings.port)
    except OSError as exc:
        raise UnfitError(
            f"cannot listen on {settings.host}:{settings.port}: {exc.strerror}: stop what uses it, "
            "or set LOCAL_SANDBOXES_PORT"
        ) from exc
    port = listener.getsockname()[1]
    running = await app.build(settings, port)
    running.spawning.on_lost = stop.set
    try:
        log.info("ready", url=f"http://{settings.host}:{port}", domain=settings.public_domain(port))
        await server.serve(running, listener, stop)
    finally:
        await running.close()
    log.info("stopped")
    return 1 if running.spawning.lost else 0


def main() -> int:
    """The exit code."""
    try:
        settings = Settings()
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        name = "LOCAL_SANDBOXES_" + name.removeprefix("LOCAL_SANDBOXES_")
        sys.stderr.write(f"{name}: {first['msg']}\n")
        return 2
    logs.configure("local-sandboxes", settings.log_format, settings.log_level)
    try:
        return uvloop.run(_run(settings))
    except (UnfitError, BundleError, TemplateError) as exc:
        sys.stderr.write(f"local sandboxes: {exc}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())

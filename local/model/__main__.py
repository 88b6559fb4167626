"""`python -m local.model`: settings, build, serve."""

import signal
import sys

import uvicorn

from kit import log
from kit.settings import LogSettings, read
from local.model.app import build
from local.model.settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; a bad setting is named and ends with 2."""
    settings = read(Settings)
    logs = read(LogSettings)
    log.configure("model", logs.format, logs.level)
    # uvicorn raises the signal once more after it has drained: that is a clean end, not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    uvicorn.run(
        build(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        server_header=False,
    )


if __name__ == "__main__":
    main()

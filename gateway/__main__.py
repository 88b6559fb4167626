"""``python -m gateway``: the REST face of the platform."""

from __future__ import annotations

import sys

import uvloop

from gateway.server import serve
from gateway.settings import GatewaySettings
from gateway.transcoder import ContractError
from kit import log
from kit.settings import LogSettings, read


def main() -> int:
    """Settings, build, serve. 2 where a setting or the contract is wrong, or the port is taken."""
    settings = read(GatewaySettings)
    logging = read(LogSettings)
    log.configure("gateway", logging.format, logging.level)
    try:
        uvloop.run(serve(settings))
    except (OSError, ContractError) as exc:
        print(f"gateway: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

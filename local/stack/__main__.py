"""``python -m local.stack run | demo | verify-e2b``."""

from __future__ import annotations

import asyncio
import sys

from local.stack.console import fail
from local.stack.settings import environment, settings_from

USAGE = "usage: python -m local.stack run | demo | verify-e2b"


def main() -> None:
    """Reads the settings and does what is asked."""
    known = environment()
    settings = settings_from(known)
    match sys.argv[1:]:
        case ["run"]:
            from local.stack.run import run

            asyncio.run(run(settings, known))
        case ["demo"]:
            from local.stack.demo import demo

            raise SystemExit(asyncio.run(demo(settings, known)))
        case ["verify-e2b"]:
            from local.stack.verify import verify

            raise SystemExit(asyncio.run(verify(settings, known)))
        case _:
            fail([USAGE])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None

"""Runs all benchmarks, one after the other, and prints what they say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

NAMES = (
    "main_job",
    "generation",
    "team",
    "edits",
    "catch_up",
    "crowd",
    "sandbox",
    "sweep",
    "engine",
    "density",
    "proxy",
    "gateway",
    "demo",
)


def main() -> int:
    """The exit code is 1 where a benchmark failed."""
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}\n")
    failed = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
        print(flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())

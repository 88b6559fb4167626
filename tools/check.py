"""What must hold of the repository besides its tests: ``python -m tools.check``, or ``make check``.

All steps run, each tells how long it took, and the output of those that fail is shown whole.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STEPS: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "lint": [str(BIN / "ruff"), "check", "."],
    "types": [str(BIN / "mypy"), "bench", "gateway", "kit", "local", "services", "tests", "tools"],
    "imports": [str(BIN / "lint-imports")],
    "domain": [sys.executable, "-m", "tools.domain"],
    "generated": [sys.executable, "-m", "tools.protos", "--check"],
    "shell": ["sh", "-n", "tools/setup.sh", "tools/lock.sh", "tools/up.sh", "deploy/entrypoint.sh"],
}


def main() -> int:
    """Runs all steps; the exit code is 1 where one failed."""
    failed = [name for name, command in STEPS.items() if not _passes(name, command)]
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return int(bool(failed))


def _passes(name: str, command: list[str]) -> bool:
    begun = time.monotonic()
    live = sys.stdout.isatty()
    if live:
        print(f"{name:<10} …", end="\r", flush=True)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    print(f"{name:<10} {'ok' if done.returncode == 0 else 'FAILED'} in {seconds:.1f} s", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())

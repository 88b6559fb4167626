"""The first ``make demo`` of a fresh clone, and the second one, as whole commands in seconds.

python -m bench.demo
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from kit.testing import free_port
from tests.fixtures.stack import PORTS, ROOT, clean_environment


def demo(clone: Path) -> float:
    """Seconds of one ``make demo`` in a clone."""
    ports = {name: str(free_port()) for name in PORTS}
    begun = time.monotonic()
    subprocess.run(
        ["make", "-s", "demo"],
        cwd=clone,
        env=clean_environment(**ports),
        check=True,
        capture_output=True,
    )
    return time.monotonic() - begun


def main() -> None:
    """Clones what is committed, and makes the demo twice."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "sandwright"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        print(f"first make demo of a fresh clone, s   {demo(clone):8.1f}")
        print(f"second make demo, s                   {demo(clone):8.1f}")


if __name__ == "__main__":
    main()

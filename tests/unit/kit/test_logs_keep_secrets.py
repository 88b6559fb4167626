"""An unexpected error's line in the log tells where it happened, not what the variables held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys, structlog
from kit import log
log.configure("test", sys.argv[1], "info")
def fails(password):
    raise ValueError("something broke")
try:
    fails("hunter" + str(2))
except ValueError as exc:
    structlog.get_logger("x").error("unexpected error", exc_info=exc)
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_holds_no_local_variable(form: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, form],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "something broke" in ended.stderr
    assert "fails" in ended.stderr
    assert "hunter2" not in ended.stderr

"""The connection test says what went well, and what is wrong when something is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from e2b import Sandbox

from kit.testing import free_port
from tests.fixtures.engine import ROOT, RunningEngine, start_engine

STEPS = ["key", "create", "write a file", "read it", "run Python", "run a command", "close"]


def _verify(**env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    return subprocess.run(
        [sys.executable, "-m", "services.sandbox.verify"],
        cwd=ROOT,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_every_step_is_told_with_its_time_and_the_sandbox_is_closed(engine: RunningEngine) -> None:
    done = _verify(**engine.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^  (.+?) +[\d.]+ ms   ok$", done.stdout, re.MULTILINE) == STEPS
    assert done.stdout.splitlines()[-1] == "connected: every step went well"


def test_a_wrong_key_is_named_and_not_shown(tmp_path: Path) -> None:
    engine = start_engine(tmp_path, api_key="the-right-one")
    try:
        done = _verify(**{**engine.env, "E2B_API_KEY": "a-wrong-one"})
    finally:
        engine.stop()
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "not connected: the key was refused: check E2B_API_KEY"
    assert "a-wrong-one" not in done.stdout + done.stderr


def test_nobody_there_is_said_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = _verify(E2B_API_KEY="any", E2B_API_URL=url, E2B_SANDBOX_URL=url)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("not connected: nothing answers")


def test_a_full_account_is_said_to_be_full(tmp_path: Path) -> None:
    engine = start_engine(tmp_path, max_sandboxes=1, pool_size=0)
    try:
        held = Sandbox.create(**engine.sdk)
        done = _verify(**engine.env)
        held.kill()
    finally:
        engine.stop()
    assert done.returncode == 1
    assert re.search(r"^  create +[\d.]+ ms   FAILED$", done.stdout, re.MULTILINE)
    verdict = done.stdout.splitlines()[-1]
    assert verdict.startswith("not connected: the account's quota is reached")


def test_a_missing_template_is_said_to_be_missing(engine: RunningEngine) -> None:
    done = _verify(**engine.env, SANDBOX_E2B_TEMPLATE="no-such-template")
    assert done.returncode == 1
    assert "SANDBOX_E2B_TEMPLATE" in done.stdout.splitlines()[-1]


def test_a_missing_key_is_named() -> None:
    done = _verify()
    assert done.returncode == 2
    assert "setting E2B_API_KEY" in done.stderr

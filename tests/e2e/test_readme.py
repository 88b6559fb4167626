"""What the README shows works when it is pasted: its blocks run as they stand, but for the ports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.stack import ROOT, RunningStack

pytestmark = pytest.mark.xdist_group("stack")
README = (ROOT / "README.md").read_text()
DEFAULT_PORTS = {
    "8080": "GATEWAY_PORT",
    "50051": "PROJECTS_PORT",
    "50052": "SANDBOX_PORT",
    "50053": "GENERATION_PORT",
}


def _blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found
    return found


def _here(text: str, stack: RunningStack) -> str:
    for port, name in DEFAULT_PORTS.items():
        text = text.replace(f"localhost:{port}", f"localhost:{stack.ports[name]}")
    return text


def _run(command: list[str], text: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        input=text,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_shell_lines_work_one_after_the_other(stack: RunningStack) -> None:
    lines = _here("\n".join(_blocks("sh")), stack)
    said = _run(["bash", "-eu"], lines)
    assert '"message":"Sandbox created successfully"' in said
    assert "event: succeeded" in said
    # The resumed stream begins after the event whose id was given.
    generation = said[: said.index('"path":"robots.txt"')]
    assert generation.count("id: 2\n") == 1
    assert generation.count("id: 3\n") == 2
    assert "<!doctype html>" in said
    assert '"path":"robots.txt"' in said
    assert "notes/one.md" in said
    assert "event: listed" in said
    assert "\npaused\nactive\n" in said
    assert '"pricesAsOf":"2026-11-20"' in said
    assert '"text":"' in said
    assert "hello from inside\\n" in said
    assert '"exitCode":3' in said
    assert '"port":8000' in said
    assert "SERVING" in said
    assert "From the shell" in said


@pytest.mark.parametrize("number", range(2))
def test_the_python_programs_work(stack: RunningStack, number: int) -> None:
    said = _run([sys.executable, "-"], _here(_blocks("python")[number], stack))
    assert ("index.html" in said and "http://8000-" in said) if number == 0 else "prj-" in said


def test_every_file_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_make_target_that_the_readme_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z][a-z0-9-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

"""The agent's file calls while somebody else works on the same tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from local.sandboxes.agent import errors, files, processes


def tree(top: Path) -> Path:
    for folder in ("a", "b/c", "d"):
        (top / folder).mkdir(parents=True)
        for name in ("1", "2", "3"):
            (top / folder / name).write_text("x")
    return top


@pytest.mark.parametrize("call", ["unlink", "rmdir", "scandir"])
def test_a_tree_of_which_somebody_else_removes_a_part_is_removed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    top = tree(tmp_path / "top")
    real = getattr(os, call)
    overtaken: list[str] = []

    def overtaken_once(path: str) -> Any:
        if not overtaken and path != str(top):
            overtaken.append(path)
            if call == "unlink":
                Path(path).unlink()
            else:
                for one in sorted(Path(path).rglob("*"), reverse=True):
                    one.rmdir() if one.is_dir() else real_unlink(one)
                real_rmdir(path)
        return real(path)

    real_unlink, real_rmdir = os.unlink, os.rmdir
    monkeypatch.setattr(os, call, overtaken_once)
    files.remove("user", str(top))
    assert overtaken
    assert not top.exists()


def test_a_tree_that_can_not_be_removed_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path / "top")

    def replaced(path: str) -> None:
        raise NotADirectoryError(20, "Not a directory", path)

    monkeypatch.setattr(os, "scandir", replaced)
    with pytest.raises(errors.AgentError, match="not a directory"):
        files.remove("user", str(top))


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    files.remove("user", str(tmp_path / "nothing"))
    files.remove("user", str(tmp_path / "file" / "below"))
    assert (tmp_path / "file").exists()


def test_a_terminal_of_an_impossible_size_is_closed_again() -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(OverflowError):
        processes.Processes(-1).start_on_terminal("user", "/", [], [], (80, 70_000))
    assert len([*Path("/proc/self/fd").iterdir()]) == before

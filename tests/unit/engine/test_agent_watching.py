"""The agent's watchers where the kernel refuses, or loses count."""

from __future__ import annotations

import _ctypes
import os
from pathlib import Path

import pytest

from local.sandboxes.agent import errors, watching


def opened() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def refuse_to_watch(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Have the kernel refuse to watch ``path``, as it does at its own limit."""
    real = _ctypes.call_cdeclfunction

    class Refusing:
        @staticmethod
        def call_cdeclfunction(function: int, arguments: tuple[object, ...]) -> int:
            asked = arguments[1] if len(arguments) > 1 else b""
            if isinstance(asked, bytes) and asked.rstrip(b"/\0") == os.fsencode(path):
                return -1
            return int(real(function, arguments))

    monkeypatch.setattr(watching, "_ctypes", Refusing)


@pytest.mark.parametrize("folder", [".", "below"])
def test_a_watch_at_the_kernels_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "below").mkdir()
    before = opened()
    refuse_to_watch(monkeypatch, tmp_path / folder)
    with pytest.raises(errors.AgentError, match="watches no more directories") as refused:
        watching.Watcher("user", str(tmp_path), True, False)
    assert refused.value.code == errors.EXHAUSTED
    assert opened() == before


def test_changes_that_the_kernel_dropped_are_told(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    watcher = watching.Watcher("user", str(tmp_path), False, False)
    # Two names in turn, because the kernel folds an event into the same one before it.
    for number in range(limit + 10):
        (tmp_path / str(number % 2)).touch()
    told = []
    while changes := watcher.read():
        told += changes
    watcher.close()
    assert told[-1][0] == watching.LOST


def test_a_new_directory_that_can_not_be_watched_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = watching.Watcher("user", str(tmp_path), True, False)
    refuse_to_watch(monkeypatch, tmp_path / "new")
    (tmp_path / "new").mkdir()
    assert [kind for kind, _, _ in watcher.read()] == [watching.CREATE, watching.LOST]
    watcher.close()

"""Files as the vendor describes them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from local.sandboxes.agent import entries, errors, frames, paths


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, "-rw-r--r--"),
        (stat.S_IFREG | 0o4755, "urwxr-xr-x"),
        (stat.S_IFDIR | 0o755, "drwxr-xr-x"),
        (stat.S_IFDIR | 0o1777, "dtrwxrwxrwx"),
        (stat.S_IFLNK | 0o777, "Lrwxrwxrwx"),
        (stat.S_IFIFO | 0o600, "prw-------"),
        (stat.S_IFCHR | 0o666, "Dcrw-rw-rw-"),
        (stat.S_IFSOCK | 0o700, "Srwx------"),
    ],
)
def test_permissions_read_as_in_go(mode: int, expected: str) -> None:
    assert entries.permissions(mode) == expected


def test_an_entry_carries_what_stat_says(tmp_path: Path) -> None:
    file = tmp_path / "näme.txt"
    file.write_text("four")
    os.utime(file, ns=(1, 1_700_000_000_123_456_789))
    name, kind, path, size, mode, *_ = frames.unpack(entries.describe(str(file)))
    assert (name.decode(), kind, path.decode(), size) == ("näme.txt", b"file", str(file), b"4")
    assert int(mode) == stat.S_IMODE(file.stat().st_mode)
    assert b"1700000000123456789" in entries.describe(str(file))


def test_a_broken_symlink_is_neither_file_nor_directory(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    fields = frames.unpack(entries.describe(str(link)))
    assert fields[1] == entries.OTHER
    assert fields[9] == b"nowhere"
    assert fields[10] == b"1"


@pytest.mark.parametrize(
    ("path", "user", "expected"),
    [
        ("a/b", "user", "/home/user/a/b"),
        ("", "user", "/home/user"),
        ("/x/../y", "user", "/y"),
        ("../x", "user", "/home/x"),
        ("../../../../etc", "user", "/etc"),
        ("~", "user", "/home/user"),
        ("~/a", "root", "/root/a"),
        ("a", "", "/home/user/a"),
    ],
)
def test_paths_are_the_users(path: str, user: str, expected: str) -> None:
    assert paths.resolve(path, user) == expected


@pytest.mark.parametrize(("path", "user"), [("a\0b", "user"), ("~ann/x", "user"), ("a", "ann")])
def test_paths_that_mean_nothing_are_refused(path: str, user: str) -> None:
    with pytest.raises(errors.AgentError):
        paths.resolve(path, user)

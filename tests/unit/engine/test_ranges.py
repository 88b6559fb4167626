"""HTTP ranges of a file of ten bytes."""

from __future__ import annotations

import pytest

from local.sandboxes.envd.ranges import requested_range


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", (0, 10, 200)),
        ("bytes=0-3", (0, 4, 206)),
        ("bytes=4-", (4, 10, 206)),
        ("bytes=-3", (7, 10, 206)),
        ("bytes=-30", (0, 10, 206)),
        ("bytes=2-99", (2, 10, 206)),
        ("bytes=10-", (0, 0, 416)),
        ("bytes=-0", (0, 0, 416)),
        ("bytes=5-2", (0, 0, 416)),
        ("bytes=0-1,3-4", (0, 10, 200)),
        ("bytes=-", (0, 10, 200)),
        ("lines=0-1", (0, 10, 200)),
        ("bytes=0-" + "9" * 19, (0, 10, 206)),
        ("bytes=0-" + "9" * 5000, (0, 10, 200)),
        ("bytes=" + "9" * 5000 + "-", (0, 10, 200)),
    ],
)
def test_a_single_range_is_answered_and_anything_else_is_the_whole(
    asked: str, expected: tuple[int, int, int]
) -> None:
    assert requested_range(asked, 10) == expected

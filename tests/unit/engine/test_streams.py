"""What callers of streams may ask for."""

from __future__ import annotations

import pytest

from local.sandboxes.envd.streams import keepalive_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("300", 90.0),
        ("0.000001", 1.0),
        ("0", 90.0),
        ("-1", 90.0),
        ("nan", 90.0),
        ("inf", 90.0),
        ("", 90.0),
    ],
)
def test_nobody_hears_more_often_than_once_a_second(header: str, seconds: float) -> None:
    assert keepalive_seconds(header) == seconds

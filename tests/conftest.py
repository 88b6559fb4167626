"""Every fixture file is a plugin, so that a test of any folder can ask for any part of the platform."""

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
pytest_plugins = [
    f"tests.fixtures.{path.stem}"
    for path in sorted(FIXTURES.glob("*.py"))
    if path.stem != "__init__"
]
# One of them may import another before its turn comes: their asserts are to be explained all the same.
pytest.register_assert_rewrite(*pytest_plugins)

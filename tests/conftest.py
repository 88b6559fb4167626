"""Every fixture file is a plugin, so that a test of any folder can ask for any part of the platform."""

from pathlib import Path

import pytest
import structlog

FIXTURES = Path(__file__).parent / "fixtures"
pytest_plugins = [
    f"tests.fixtures.{path.stem}"
    for path in sorted(FIXTURES.glob("*.py"))
    if path.stem != "__init__"
]
# One of them may import another before its turn comes: their asserts are to be explained all the same.
pytest.register_assert_rewrite(*pytest_plugins)

# By itself structlog draws a failure with all local variables, which takes seconds of the loop that is being tested.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

"""Every fixture file is a plugin, so that a test of any folder can ask for any part of the platform."""

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
pytest_plugins = [
    f"tests.fixtures.{path.stem}"
    for path in sorted(FIXTURES.glob("*.py"))
    if path.stem != "__init__"
]

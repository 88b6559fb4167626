"""Checks that the services' domain (``model.py`` or ``model/``) imports the standard library and itself alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Prints every import that breaks the rule; the exit code is 1 where there is one, or no domain at all."""
    files = [*ROOT.glob("services/*/model.py"), *ROOT.glob("services/*/model/**/*.py")]
    broken = [line for path in files for line in _foreign(path)]
    for line in broken:
        print(line)
    if not files:
        print("no services/*/model.py was found")
    return int(bool(broken) or not files)


def _foreign(path: Path) -> list[str]:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts[:3])
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else ["." * node.level]
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}: imports {name}"  # type: ignore[attr-defined]  # imports have a line
            for name in names
            if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(own)
        ]
    return found


if __name__ == "__main__":
    raise SystemExit(main())

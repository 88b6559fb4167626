"""The template of sandboxes whose preview server runs before anybody asks for them.

    python -m services.sandbox.template FOLDER

writes it for the local engine as FOLDER/sandwright.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kit.settings import read
from services.sandbox.model import ASIDE, DRAFTS, PREVIEW_PORT, SITE
from services.sandbox.preview.bundle import Options, PreviewServer
from services.sandbox.settings import PreviewSettings

NAME = "sandwright"
HEALTH = "/__sandwright/health"


def preview_server(settings: PreviewSettings) -> PreviewServer:
    """The preview server that these settings ask for."""
    options = Options(
        SITE,
        DRAFTS,
        PREVIEW_PORT,
        draft_seconds=settings.draft_seconds,
        single_page=settings.single_page_previews,
    )
    return PreviewServer.of(f"{ASIDE}/preview.pyz", options)


def write_template(folder: Path, server: PreviewServer) -> None:
    """Writes the template for the local engine, over one that may be there."""
    archive = folder / "root" / server.place.removeprefix("/")
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(server.archive)
    # Such strings mean the same in JSON and in TOML.
    lines = [
        "[start]",
        f"command = {json.dumps(server.command)}",
        f"ready_port = {PREVIEW_PORT}",
        f"ready_path = {json.dumps(HEALTH)}",
    ]
    (folder / "template.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Writes it by the environment; the exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m services.sandbox.template FOLDER", file=sys.stderr)
        return 2
    write_template(Path(sys.argv[1]) / NAME, preview_server(read(PreviewSettings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A template for the engine with the product's own preview server as its start command."""

from __future__ import annotations

import json
from pathlib import Path

from services.sandbox.model import ASIDE, DRAFTS, PREVIEW_PORT, SITE
from services.sandbox.preview.bundle import Options, PreviewServer

NAME = "preview"


def preview_template(folder: Path, pool: int) -> None:
    """Write the template into ``folder``; ``pool`` sandboxes of it are kept warm."""
    root = folder / NAME / "root"
    server = PreviewServer.of(f"{ASIDE}/preview.pyz", Options(SITE, DRAFTS, PREVIEW_PORT))
    for path, content in (
        (server.place, server.archive),
        (f"{SITE}/index.html", b"<!doctype html><title>Hello</title><h1>Hello</h1>"),
    ):
        target = root / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    start = {"command": json.dumps(server.command), "ready_path": '"/"'}
    lines = [f"pool = {pool}", "[start]", f"ready_port = {PREVIEW_PORT}"]
    lines += [f"{key} = {value}" for key, value in start.items()]
    (folder / NAME / "template.toml").write_text("\n".join(lines) + "\n")

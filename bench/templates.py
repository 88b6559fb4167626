"""A template for the engine with the product's own preview server as its start command."""

from __future__ import annotations

import json
from pathlib import Path

from services.sandbox.model import ASIDE, PREVIEW_PORT, SITE
from services.sandbox.preview.bundle import bundle, command

NAME = "preview"


def preview_template(folder: Path, pool: int) -> None:
    """Write the template into ``folder``; ``pool`` sandboxes of it are kept warm."""
    root = folder / NAME / "root"
    server = f"{ASIDE}/preview.pyz"
    for path, content in (
        (server, bundle()),
        (f"{SITE}/index.html", b"<!doctype html><title>Hello</title><h1>Hello</h1>"),
    ):
        target = root / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    start = {"command": json.dumps(command(server, SITE, PREVIEW_PORT)), "ready_path": '"/"'}
    lines = [f"pool = {pool}", "[start]", f"ready_port = {PREVIEW_PORT}"]
    lines += [f"{key} = {value}" for key, value in start.items()]
    (folder / NAME / "template.toml").write_text("\n".join(lines) + "\n")

"""The product's own template for the engine, with a page to serve and a pool of a size."""

from __future__ import annotations

from pathlib import Path

from services.sandbox.model import SITE
from services.sandbox.settings import PreviewSettings
from services.sandbox.template import preview_server, write_template

NAME = "preview"
_PAGE = b"<!doctype html><title>Hello</title><h1>Hello</h1>"


def preview_template(folder: Path, pool: int) -> None:
    """Write the template into ``folder``; ``pool`` sandboxes of it are kept warm."""
    template = folder / NAME
    write_template(template, preview_server(PreviewSettings()))
    page = template / "root" / SITE.removeprefix("/") / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_bytes(_PAGE)
    plan = template / "template.toml"
    plan.write_text(f"pool = {pool}\n{plan.read_text()}")

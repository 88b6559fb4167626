"""What a path inside a project may be. The same rule wherever a path comes in."""

from __future__ import annotations

import mimetypes

from kit.errors import Invalid

MAX_BYTES = 1024
MAX_SEGMENT_BYTES = 255
MAX_FOLDERS = 32
# The registry of the standard library reads the machine's own files; ours must answer the same everywhere.
_TYPES = mimetypes.MimeTypes(filenames=())
for _kind, _ending in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("image/svg+xml", ".svg"),
    ("image/webp", ".webp"),
    ("image/avif", ".avif"),
    ("font/woff2", ".woff2"),
    ("font/woff", ".woff"),
    ("application/manifest+json", ".webmanifest"),
    ("application/wasm", ".wasm"),
    ("text/markdown", ".md"),
):
    _TYPES.add_type(_kind, _ending)


def checked_path(path: str, field: str = "path") -> str:
    """The path itself, where it may name a file of a project.

    Raises ``Invalid`` naming the field and the rule that is broken.
    """
    if problem := _problem(path):
        raise Invalid.field(field, problem)
    return path


def media_type(path: str) -> str:
    """The media type by the file's ending, ``application/octet-stream`` where it is unknown."""
    return _TYPES.guess_type(path, strict=True)[0] or "application/octet-stream"


def _problem(path: str) -> str | None:
    if not path:
        return "must not be empty"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode"
    if size > MAX_BYTES:
        return f"must be at most {MAX_BYTES} bytes"
    if path.startswith("/"):
        return "must be relative to the project, without a leading '/'"
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "must not hold a control character"
    if "\\" in path:
        return "must not hold a backslash"
    if path.count("/") > MAX_FOLDERS:
        return f"must not lie in more than {MAX_FOLDERS} folders"
    return _segment_problem(path.split("/"))


def _segment_problem(segments: list[str]) -> str | None:
    for segment in segments:
        if segment in {"", ".", ".."}:
            return "must not hold an empty segment, '.' or '..'"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"must not hold a segment of more than {MAX_SEGMENT_BYTES} bytes"
    return None

"""The model's tools, and what a complete call asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kit.errors import Invalid
from kit.paths import checked_path
from services.generation.language_model import Block

WRITE_FILE = "write_file"
DELETE_FILE = "delete_file"

_PATH = {
    "type": "string",
    "description": "Path relative to the site's folder, with '/' between segments, such as 'css/site.css'.",
}
TOOLS: tuple[Block, ...] = (
    {
        "name": WRITE_FILE,
        "description": (
            "Writes one file of the site, the whole of it: a new file, or a new content for an existing one. "
            "It is saved and shown in the preview at once. Call it for all files of a site in one go, in parallel."
        ),
        "input_schema": {
            "type": "object",
            # The path comes first so that what follows can be shown while it is written.
            "properties": {
                "path": _PATH,
                "content": {"type": "string", "description": "The file's complete content."},
            },
            "required": ["path", "content"],
            "additionalProperties": False,
        },
        "eager_input_streaming": True,
    },
    {
        "name": DELETE_FILE,
        "description": "Removes one file of the site. A file that is not there is no error.",
        "input_schema": {
            "type": "object",
            "properties": {"path": _PATH},
            "required": ["path"],
            "additionalProperties": False,
        },
    },
)


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write this text to this path."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove this path."""

    path: str


@dataclass(frozen=True, slots=True)
class BadCall:
    """A call that can't be run, and what to tell the model."""

    problem: str


Call = WriteFile | DeleteFile | BadCall


def parsed_input(text: str) -> tuple[dict[str, Any], bool]:
    """A call's input as an object, and whether it was one. What was none goes back to the model in a wrapper."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and _encodes(found):
        return found, True
    return {"INVALID_JSON": text}, False


def read_call(tool: str, given: dict[str, Any], valid: bool) -> Call:
    """What a call asks for, with the path's rules kept."""
    if tool not in (WRITE_FILE, DELETE_FILE):
        return BadCall(f"There is no tool {tool!r}. Use write_file or delete_file.")
    if not valid:
        return BadCall("The input was not valid JSON. Nothing was done. Make the call again.")
    path = given.get("path")
    if not isinstance(path, str):
        return BadCall("path: must be a string. Nothing was done.")
    try:
        checked_path(path)
    except Invalid as exc:
        return BadCall(f"{exc.message}. Nothing was done.")
    if tool == DELETE_FILE:
        return DeleteFile(path)
    content = given.get("content")
    if not isinstance(content, str):
        return BadCall("content: must be a string. Nothing was done.")
    return WriteFile(path, content.encode())


def tool_result(call_id: str, text: str, *, is_error: bool) -> Block:
    """What goes back to the model for one call."""
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    if is_error:
        block["is_error"] = True
    return block


def _encodes(found: dict[str, Any]) -> bool:
    """Whether every text in it is valid Unicode: JSON can name half a surrogate pair, UTF-8 can't."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True

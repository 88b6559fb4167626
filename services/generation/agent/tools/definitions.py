"""What the model is told of its tools. The same for every generation: a changed word is a prompt cache that misses."""

from __future__ import annotations

from typing import Any

from services.generation.language_model import Block

WRITE_FILE = "write_file"
DELETE_FILE = "delete_file"
RENAME_FILE = "rename_file"
RUN_COMMAND = "run_command"
USE_ATTACHMENT = "use_attachment"
EDITOR = "str_replace_based_edit_tool"
"""The vendor's own text editor; models are trained on this name and its commands."""

_PATH = {
    "type": "string",
    "description": "Path relative to the site's folder, with '/' between segments, such as 'css/site.css'.",
}


def _tool(name: str, description: str, /, **properties: Any) -> Block:
    return {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


TOOLS: tuple[Block, ...] = (
    {
        # The path comes first so that what follows can be shown while it is written.
        **_tool(
            WRITE_FILE,
            "Writes one file of the site, the whole of it: a new file, or a new content for one that you have seen. "
            "It is saved and shown in the preview at once. Call it for all files of a site in one go, in parallel.",
            path=_PATH,
            content={"type": "string", "description": "The file's complete content."},
        ),
        "eager_input_streaming": True,
    },
    {"type": "text_editor_20250728", "name": EDITOR},
    _tool(
        DELETE_FILE,
        "Removes one file of the site. A file that is not there is no error.",
        path=_PATH,
    ),
    _tool(
        RENAME_FILE,
        "Gives one file of the site another path. Links to it are not changed.",
        path=_PATH,
        to_path={**_PATH, "description": "The new path, relative to the site's folder."},
    ),
    _tool(
        USE_ATTACHMENT,
        "Puts a file that the user attached into the site, byte for byte, for example a logo.",
        name={"type": "string", "description": "The attachment's name, as it is listed."},
        path=_PATH,
    ),
    _tool(
        RUN_COMMAND,
        "Runs a shell command (bash) in the site's folder, in its sandbox, and answers with its exit code "
        "and the end of its output. It is stopped at a time limit. Files that it changes are saved.",
        command={"type": "string", "description": "The command."},
    ),
)

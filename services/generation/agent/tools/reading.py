"""From a call's input to what it asks for, with every field checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kit.errors import Invalid
from kit.paths import checked_path
from services.generation.agent.tools.calls import (
    BadCall,
    Call,
    DeleteFile,
    EditFile,
    RenameFile,
    RunCommand,
    UseAttachment,
    ViewFile,
    WriteFile,
)
from services.generation.agent.tools.definitions import (
    DELETE_FILE,
    EDITOR,
    RENAME_FILE,
    RUN_COMMAND,
    USE_ATTACHMENT,
    WRITE_FILE,
)
from services.generation.agent.tools.editing import Insertion, Replacement
from services.generation.language_model import Block

_MOST_COMMAND_BYTES = 32_768
Given = dict[str, Any]


def parsed_input(text: str) -> tuple[Given, bool]:
    """A call's input as an object, and whether it was one. What was none goes back to the model in a wrapper."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and _encodes(found):
        return found, True
    return {"INVALID_JSON": text}, False


def read_call(tool: str, given: Given, valid: bool) -> Call:
    """What a call asks for, with the path's rules kept."""
    read = _READERS.get(tool)
    if read is None:
        return BadCall(f"There is no tool {tool!r}. There are: {', '.join(_READERS)}.")
    if not valid:
        return BadCall("The input was not valid JSON. Nothing was done. Make the call again.")
    try:
        return read(given)
    except Invalid as exc:
        return BadCall(f"{exc.message}. Nothing was done.")


def tool_result(call_id: str, text: str, *, is_error: bool) -> Block:
    """What goes back to the model for one call."""
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    if is_error:
        block["is_error"] = True
    return block


def _write(given: Given) -> Call:
    return WriteFile(_path(given), _text(given, "content").encode())


def _delete(given: Given) -> Call:
    return DeleteFile(_path(given))


def _rename(given: Given) -> Call:
    call = RenameFile(_path(given), _path(given, "to_path"))
    if call.path == call.to_path:
        raise Invalid.field("to_path", "must be another path than path")
    return call


def _attachment(given: Given) -> Call:
    name = _text(given, "name")
    if "\x00" in name:
        raise Invalid.field("name", "must not hold a NUL character")
    return UseAttachment(_path(given), name)


def _command(given: Given) -> Call:
    command = _text(given, "command")
    if not command.strip() or "\x00" in command:
        raise Invalid.field("command", "must not be empty and not hold a NUL character")
    if len(command.encode()) > _MOST_COMMAND_BYTES:
        raise Invalid.field("command", f"must be at most {_MOST_COMMAND_BYTES} bytes")
    return RunCommand(command)


def _editor(given: Given) -> Call:
    match given.get("command"):
        case "view":
            return ViewFile(_viewed(given), _lines(given))
        case "create":
            return WriteFile(_path(given), _text(given, "file_text").encode())
        case "str_replace":
            new = _text(given, "new_str") if "new_str" in given else ""
            edit = Replacement(_text(given, "old_str"), new)
            if not edit.old:
                raise Invalid.field("old_str", "must not be empty")
            return EditFile(_path(given), edit)
        case "insert":
            # Older texts of the vendor's say new_str.
            name = "insert_text" if "insert_text" in given else "new_str"
            return EditFile(
                _path(given), Insertion(_number(given.get("insert_line")), _text(given, name))
            )
    raise Invalid.field("command", "must be view, str_replace, insert or create")


_READERS: dict[str, Callable[[Given], Call]] = {
    WRITE_FILE: _write,
    EDITOR: _editor,
    DELETE_FILE: _delete,
    RENAME_FILE: _rename,
    USE_ATTACHMENT: _attachment,
    RUN_COMMAND: _command,
}


def _text(given: Given, field: str) -> str:
    value = given.get(field)
    if not isinstance(value, str):
        raise Invalid.field(field, "must be a string")
    return value


def _path(given: Given, field: str = "path") -> str:
    return checked_path(_text(given, field), field)


def _viewed(given: Given) -> str:
    """The site's folder has several names; a folder may end with a slash."""
    path = _text(given, "path")
    return "" if path in {"", ".", "./", "/"} else checked_path(path.removesuffix("/"))


def _lines(given: Given) -> tuple[int, int] | None:
    found = given.get("view_range")
    if found is None:
        return None
    if not isinstance(found, list) or len(found) != 2:
        raise Invalid.field("view_range", "must be the first and the last line")
    first, last = found
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in found)
    if not whole or first < 1 or (last != -1 and last < first):
        raise Invalid.field(
            "view_range", "must count lines from 1, first before last; a last line of -1 is the end"
        )
    return first, last


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Invalid.field("insert_line", "must be a line number, 0 for the file's beginning")
    return value


def _encodes(found: Given) -> bool:
    """Whether every text in it is valid Unicode: JSON can name half a surrogate pair, UTF-8 can't."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True

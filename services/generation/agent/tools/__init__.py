"""The model's tools: what it is told of them, how its calls are read, and how text is edited and shown."""

from services.generation.agent.tools.calls import (
    BadCall,
    Call,
    DeleteFile,
    EditFile,
    Noted,
    RenameFile,
    RunCommand,
    UseAttachment,
    ViewFile,
    WriteFile,
    paths_of,
)
from services.generation.agent.tools.definitions import (
    DELETE_FILE,
    EDITOR,
    RENAME_FILE,
    RUN_COMMAND,
    TOOLS,
    USE_ATTACHMENT,
    WRITE_FILE,
)
from services.generation.agent.tools.reading import parsed_input, read_call, tool_result

__all__ = [
    "DELETE_FILE",
    "EDITOR",
    "RENAME_FILE",
    "RUN_COMMAND",
    "TOOLS",
    "USE_ATTACHMENT",
    "WRITE_FILE",
    "BadCall",
    "Call",
    "DeleteFile",
    "EditFile",
    "Noted",
    "RenameFile",
    "RunCommand",
    "UseAttachment",
    "ViewFile",
    "WriteFile",
    "parsed_input",
    "paths_of",
    "read_call",
    "tool_result",
]

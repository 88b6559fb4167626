"""What has happened so far: what was asked for, what was written, what was refused."""

from collections import Counter
from dataclasses import dataclass, field

from local.model.model import Conversation, Text, ToolResult, ToolUse, Turn

WRITE = "write_file"
DELETE = "delete_file"
EDITOR = "str_replace_based_edit_tool"


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation, as far as it concerns files.

    `requests` are the user's texts in order; `written` is the text of each file as it was last
    acknowledged, `viewed` what the editor showed; `refused` counts refusals of a path since the last
    request, with the last reason in `reasons`.
    """

    requests: tuple[str, ...]
    written: dict[str, str]
    deleted: frozenset[str] = frozenset()
    viewed: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    # Whether tools were used since the last request.
    working: bool = False


def read(talk: Conversation) -> Transcript:
    """The transcript of `talk`."""
    reader = _Reader()
    for turn in talk.turns:
        reader.take(turn)
    return reader.transcript()


class _Reader:
    def __init__(self) -> None:
        self._requests: list[str] = []
        self._calls: dict[str, ToolUse] = {}
        self._written: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._viewed: dict[str, str] = {}
        self._refused: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._working = False

    def take(self, turn: Turn) -> None:
        text = "\n".join(block.text for block in turn.blocks if isinstance(block, Text))
        for block in turn.blocks:
            if isinstance(block, ToolUse):
                self._calls[block.id] = block
            elif isinstance(block, ToolResult):
                self._settle(self._calls.get(block.tool_use_id), block)
        if turn.role == "user" and text.strip():
            self._requests.append(text)
            self._refused.clear()
            self._working = False

    def _settle(self, call: ToolUse | None, result: ToolResult) -> None:
        if call is None:
            return
        self._working = True
        path = str(call.input.get("path", ""))
        if result.is_error:
            self._refused[path] += 1
            self._reasons[path] = result.text
        elif call.name == WRITE:
            self._written[path] = str(call.input.get("content", ""))
            self._deleted.discard(path)
            self._refused.pop(path, None)
        elif call.name == DELETE:
            self._written.pop(path, None)
            self._deleted.add(path)
        elif call.name == EDITOR and call.input.get("command") == "view":
            self._viewed[path] = result.text

    def transcript(self) -> Transcript:
        return Transcript(
            tuple(self._requests),
            self._written,
            frozenset(self._deleted),
            self._viewed,
            self._refused,
            self._reasons,
            self._working,
        )

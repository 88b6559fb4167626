"""What has happened so far: what was asked for, what each file holds, what was refused."""

import re
from collections import Counter
from dataclasses import dataclass, field

from local.model.agent import manifest, report
from local.model.agent.manifest import Request
from local.model.model import Conversation, Text, ToolResult, ToolUse, Turn

WRITE = "write_file"
DELETE = "delete_file"
RENAME = "rename_file"
EDITOR = "str_replace_based_edit_tool"
PLAN = "plan_site"
_NUMBERED = re.compile(r"\s*\d+\t")


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation, as far as it concerns files.

    `requests` are the user's wishes in order, and `findings` the paths that a report on them names.
    `texts` is what each file is known to hold now, `start` the same at the last request. `refused`
    counts refusals of a path since then, with the last reason in `reasons`; `told` counts what other
    tools took.
    """

    requests: tuple[Request, ...]
    texts: dict[str, str]
    start: dict[str, str]
    deleted: frozenset[str] = frozenset()
    viewed: frozenset[str] = frozenset()
    refused: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    # Whether tools were used since the last request or report.
    working: bool = False
    findings: tuple[str, ...] | None = None


def read(talk: Conversation) -> Transcript:
    """The transcript of `talk`."""
    reader = _Reader()
    for turn in talk.turns:
        reader.take(turn)
    return reader.transcript()


class _Reader:
    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._calls: dict[str, ToolUse] = {}
        self._texts: dict[str, str] = {}
        self._start: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._viewed: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._told: Counter[str] = Counter()
        self._working = False
        self._findings: tuple[str, ...] | None = None

    def take(self, turn: Turn) -> None:
        text = "\n".join(block.text for block in turn.blocks if isinstance(block, Text))
        for block in turn.blocks:
            if isinstance(block, ToolUse):
                self._calls[block.id] = block
            elif isinstance(block, ToolResult):
                self._settle(self._calls.get(block.tool_use_id), block)
        if turn.role == "user" and text.strip():
            self._ask(text)

    def _ask(self, text: str) -> None:
        self._refused.clear()
        self._working = False
        self._findings = report.findings(text) if self._requests else None
        if self._findings is not None:
            return
        request = manifest.split(text)
        self._requests.append(request)
        self._texts |= request.shown
        self._start = dict(self._texts)

    def _settle(self, call: ToolUse | None, result: ToolResult) -> None:
        if call is None:
            return
        self._working = True
        path = str(call.input.get("path", ""))
        if result.is_error:
            self._refused[path or call.name] += 1
            self._reasons[path or call.name] = result.text
        elif call.name == WRITE:
            self._hold(path, str(call.input.get("content", "")))
        elif call.name == DELETE:
            self._texts.pop(path, None)
            self._deleted.add(path)
        elif call.name == EDITOR:
            self._edit(path, call, result)
        else:
            self._told[call.name] += 1

    def _edit(self, path: str, call: ToolUse, result: ToolResult) -> None:
        command = call.input.get("command")
        if command == "view":
            self._viewed.add(path)
            self._texts[path] = _bare(result.text)
            self._start[path] = self._texts[path]
        elif command == "create":
            self._hold(path, str(call.input.get("file_text", "")))
        elif command == "str_replace" and path in self._texts:
            old, new = str(call.input.get("old_str", "")), str(call.input.get("new_str", ""))
            self._hold(path, self._texts[path].replace(old, new, 1))

    def _hold(self, path: str, text: str) -> None:
        self._texts[path] = text
        self._deleted.discard(path)
        self._refused.pop(path, None)

    def transcript(self) -> Transcript:
        return Transcript(
            tuple(self._requests),
            self._texts,
            self._start,
            frozenset(self._deleted),
            frozenset(self._viewed),
            self._refused,
            self._reasons,
            self._told,
            self._working,
            self._findings,
        )


def _bare(shown: str) -> str:
    """A file as the editor showed it, without the numbers before its lines."""
    lines = shown.split("\n")
    if not all(_NUMBERED.match(line) for line in lines):
        return shown
    return "\n".join(line.partition("\t")[2] for line in lines) + "\n"

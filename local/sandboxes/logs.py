"""What happened in one sandbox: a bounded ring of entries, the newest kept."""

from __future__ import annotations

import enum
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.sandboxes.process import Command, Ended

# Many sandboxes are alive at once: what each remembers has to stay small.
_MAX_ENTRIES = 2_000
_MAX_BYTES = 512 * 1024
_ENTRY_BYTES = 256  # what an entry weighs besides its message, about

_LINE_BYTES = 1024
_TAG_CHARACTERS = 128
# Cutting a flood of short lines into entries would cost the engine more than passing it on.
_LINES_A_CHUNK = 100

_NAMED = r"[\w-]{0,64}(?:passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private)[_-]?key)"
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s'\"\\&;|]+)"
_CREDENTIALS = (
    (re.compile(r"(://)[^/\s'\"@]+@"), r"\1***@"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]+"), r"\1***"),
    (re.compile(rf"(?i)({_NAMED}[\w-]{{0,64}}['\"]?\s?[=:]\s?){_VALUE}"), r"\1***"),
    (re.compile(rf"(?i)(--{_NAMED}\s+){_VALUE}"), r"\1***"),
)


class Level(enum.IntEnum):
    """How much an entry matters; the names, in lower case, are the wire's."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry: ``at`` is seconds since 1970."""

    at: float
    level: Level
    message: str
    fields: dict[str, str]


@dataclass
class Log:
    """The ring: beyond ``max_entries`` or about ``max_bytes`` the oldest entries go."""

    max_entries: int = _MAX_ENTRIES
    max_bytes: int = _MAX_BYTES
    _entries: deque[LogEntry] = field(default_factory=deque)
    _bytes: int = 0

    def add(self, level: Level, message: str, **fields: str) -> None:
        """Remember something that happens now."""
        self.put(level, message, fields)

    def put(self, level: Level, message: str, fields: dict[str, str]) -> None:
        """The same with fields that several entries may share: nobody changes them any more."""
        self._entries.append(LogEntry(time.time(), level, message, fields))
        self._bytes += _ENTRY_BYTES + len(message)
        while len(self._entries) > self.max_entries or self._bytes > self.max_bytes:
            self._bytes -= _ENTRY_BYTES + len(self._entries.popleft().message)

    def __iter__(self) -> Iterator[LogEntry]:
        """The oldest first."""
        return iter(self._entries)

    def __reversed__(self) -> Iterator[LogEntry]:
        return reversed(self._entries)


class CommandLog:
    """One command's part in the log: its start, the lines it writes to pipes, its end.

    Neither its variables nor its input get there; so nothing of a terminal does, which echoes.
    """

    def __init__(self, log: Log, command: Command, pid: int) -> None:
        self._log = log
        self._fields = {"logger": "process", "pid": str(pid)}
        if command.tag is not None:
            self._fields["tag"] = command.tag[:_TAG_CHARACTERS]
        self._of_channel = {
            "stdout": (Level.INFO, {**self._fields, "channel": "stdout"}),
            "stderr": (Level.WARN, {**self._fields, "channel": "stderr"}),
        }
        self._partial: dict[str, bytes] = {}
        self._add(Level.INFO, f"started: {_shown(command)}", user=command.user or "user")

    def output(self, channel: str, data: bytes) -> None:
        """Bytes of ``stdout`` or ``stderr``; a line is kept until it is whole, or too long."""
        if channel not in self._of_channel:
            return
        *lines, rest = (self._partial.pop(channel, b"") + data).split(b"\n", _LINES_A_CHUNK)
        for line in lines:
            self._line(channel, line)
        left_out = rest.rfind(b"\n") + 1
        if left_out:
            self._add(Level.WARN, f"{left_out} bytes of output were left out", channel=channel)
            rest = rest[left_out:]
        self._partial[channel] = rest[: _LINE_BYTES + 1]

    def ended(self, ended: Ended) -> None:
        """The command's end, after what it wrote without an end of line."""
        for channel, rest in self._partial.items():
            if rest:
                self._line(channel, rest)
        self._partial.clear()
        level = Level.INFO if ended.error is None else Level.WARN
        self._add(level, f"ended: {ended.status}", exit_code=str(ended.exit_code))

    def _line(self, channel: str, line: bytes) -> None:
        level, fields = self._of_channel[channel]
        text = line[:_LINE_BYTES].decode("utf-8", "replace")
        self._log.put(level, text if len(line) <= _LINE_BYTES else text + "…", fields)

    def _add(self, level: Level, message: str, **fields: str) -> None:
        self._log.add(level, message, **self._fields, **fields)


def _shown(command: Command) -> str:
    """What was run, without what looks like a password in it."""
    words = command.args[-1:] if command.args[:2] == ["-l", "-c"] else [command.cmd, *command.args]
    text = " ".join(words)[: 4 * _LINE_BYTES]
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= _LINE_BYTES else text[:_LINE_BYTES] + "…"

"""A generation's progress on a terminal: files as they grow, then as they are written."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from local.stack.client import Event, Json


class Progress:
    """Prints one line for each file, and on a terminal a line that lives while it grows."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        """``out`` is where it prints."""
        self._out = out
        self._live = out.isatty()
        self._begun = time.monotonic()
        self._bytes: dict[str, int] = {}
        self._talking = False

    def show(self, event: Event) -> None:
        """Shows one event; kinds that it does not know are passed over."""
        handler = getattr(self, f"_on_{event.name}", None)
        if handler:
            handler(event.data.get(_camel(event.name), {}))

    def line(self, text: str) -> None:
        """Prints a line of its own, in place of the living one."""
        self._end_talk()
        print(f"\r\033[K{text}" if self._live else text, file=self._out, flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun

    def _on_started(self, started: Json) -> None:
        self.line(
            f"  {self.seconds:5.1f} s  sandbox {started['sandboxId']}, model {started['model']}"
        )

    def _on_text_delta(self, delta: Json) -> None:
        if not self._talking:
            self.line("")
        self._talking = True
        self._out.write(delta["text"])
        self._out.flush()

    def _on_file_delta(self, delta: Json) -> None:
        path = delta["path"]
        self._bytes[path] = self._bytes.get(path, 0) + len(delta["text"].encode())
        if self._live:
            self._end_talk()
            self._out.write(f"\r\033[K  {self.seconds:5.1f} s  … {path}  {self._bytes[path]:,} B")
            self._out.flush()

    def _on_file_written(self, written: Json) -> None:
        self.line(f"  {self.seconds:5.1f} s  ✓ {written['path']:<28} {written['sizeBytes']:>8,} B")

    def _on_file_deleted(self, deleted: Json) -> None:
        self.line(f"  {self.seconds:5.1f} s  ✗ {deleted['path']}")

    def _on_turn_restarted(self, restarted: Json) -> None:
        self.line(f"  {self.seconds:5.1f} s  ↻ turn {restarted['turn']}: {restarted['reason']}")

    def _on_failed(self, failed: Json) -> None:
        self.line(f"failed: {failed['failure']['message']} ({failed['failure']['reason']})")

    def _end_talk(self) -> None:
        if self._talking:
            self._out.write("\n\n")
            self._talking = False


def tree(paths: list[str]) -> str:
    """Paths as a tree, folders first come as they sort."""
    lines: list[str] = []
    seen: list[str] = []
    for path in sorted(paths):
        *folders, name = path.split("/")
        common = 0
        while common < min(len(seen), len(folders)) and seen[common] == folders[common]:
            common += 1
        lines += [f"  {'  ' * depth}{folders[depth]}/" for depth in range(common, len(folders))]
        lines.append(f"  {'  ' * len(folders)}{name}")
        seen = folders
    return "\n".join(lines)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)

"""Files as the model is shown them: numbered lines, within bounds, and clear words where there is no text."""

from __future__ import annotations

from collections.abc import Sequence

from kit.errors import Invalid
from services.generation.peers import FileInfo

MOST_CHARACTERS = 60_000
"""Of one file, in one answer: about 15,000 tokens."""
MOST_FILES = 2_000
_LONGEST_LINE = 2_000


def numbered(lines: Sequence[str], first: int, last: int) -> str:
    """Lines ``first`` to ``last``, from 1, each behind its number and a tab."""
    shown = []
    for number, line in enumerate(lines[first - 1 : last], first):
        bare = line.removesuffix("\n").removesuffix("\r")
        cut = len(bare) - _LONGEST_LINE
        end = f"… ({cut} more characters)" if cut > 0 else ""
        shown.append(f"{number}\t{bare[:_LONGEST_LINE]}{end}")
    return "\n".join(shown)


def shown(text: str, lines: tuple[int, int] | None = None) -> str:
    """A file's text, or a range of its lines. Raises ``Invalid`` for a range that begins behind the end."""
    if not text:
        return "(The file is empty.)"
    everything = text.removesuffix("\n").split("\n")
    first, last = lines or (1, -1)
    if first > len(everything):
        raise Invalid.field("view_range", f"the file has {len(everything)} lines")
    end = len(everything) if last == -1 else min(last, len(everything))
    fits = _fitting(everything, first, end)
    said = numbered(everything, first, fits)
    if fits < end:
        said += f"\n(Cut: the file has {len(everything)} lines. Use view_range to see others.)"
    return said


def text_of(content: bytes) -> str | None:
    """The text, or ``None`` where the bytes are none."""
    if b"\x00" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _fitting(lines: Sequence[str], first: int, end: int) -> int:
    """The last line that can be shown within the bound; the first one always is."""
    room = MOST_CHARACTERS
    for number in range(first, end + 1):
        room -= min(len(lines[number - 1]), _LONGEST_LINE) + 8
        if room < 0:
            return max(first, number - 1)
    return end


def listing(files: Sequence[FileInfo]) -> str:
    """Paths with their sizes."""
    lines = [f"{file.path} ({file.size_bytes} bytes)" for file in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        lines.append(f"and {len(files) - MOST_FILES} more")
    return "\n".join(lines) or "(There are no files.)"

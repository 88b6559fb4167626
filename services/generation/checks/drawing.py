"""Reads SVG files."""

from __future__ import annotations

from xml.parsers import expat

from services.generation.checks.attributes import read_attributes
from services.generation.checks.reading import Reading
from services.generation.checks.stylesheet import read_stylesheet


def read_drawing(content: bytes) -> Reading:
    """An SVG file. Expat itself refuses entities that stand for much more than was written."""
    drawing = _Drawing()
    try:
        drawing.parser.Parse(content, True)
    except expat.ExpatError as exc:
        message = f"This is not well-formed XML: {expat.ErrorString(exc.code)}."
        drawing.reading.problem("svg-syntax", message, exc.lineno)
    return drawing.reading


class _Drawing:
    def __init__(self) -> None:
        self.reading = Reading()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._open
        self.parser.EndElementHandler = self._close
        self.parser.CharacterDataHandler = self._take
        self._style: list[str] | None = None
        self._style_line = 1

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        line, tag = self.parser.CurrentLineNumber, name.rpartition(":")[2].lower()
        found = attributes.get("id", "")
        if found in self.reading.ids:
            self.reading.problem("duplicate-id", f"The id {found!r} is in the file already.", line)
        elif found:
            self.reading.ids[found] = line
        read_attributes(tag, attributes, line, self.reading, drawing=True)
        if tag == "style":
            self._style, self._style_line = [], line

    def _take(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def _close(self, name: str) -> None:
        if self._style is not None and name.rpartition(":")[2].lower() == "style":
            self.reading.include(read_stylesheet("".join(self._style)), self._style_line)
            self._style = None

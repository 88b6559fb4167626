"""Reads HTML: the parser's own complaints, what a page must have, what it holds and what it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from html5lib import HTMLParser
from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import E as WORDS
from html5lib.constants import tokenTypes
from html5lib.treebuilders import getTreeBuilder

from services.generation.checks.attributes import read_attributes
from services.generation.checks.reading import Reading
from services.generation.checks.script import read_json, read_script
from services.generation.checks.stylesheet import read_stylesheet

_MOST_PROBLEMS = 10
# Browsers stop there as well; the parser's time grows with the square of it.
_MOST_DEEP = 512
_RAW = frozenset({"script", "style", "title"})
_JSON_TYPES = frozenset({"application/json", "application/ld+json", "importmap"})
_SCRIPT_TYPES = frozenset(
    {"", "module", "text/javascript", "application/javascript", "text/ecmascript"}
)
# What html5lib names though browsers, and today's standard, do not mind.
_HARMLESS = frozenset(
    {
        "expected-named-entity",
        "illegal-windows-1252-entity",
        "named-entity-without-semicolon",
        "numeric-entity-without-semicolon",
        "self-closing-flag-on-end-tag",
        "unexpected-end-tag-in-select",
        "unexpected-hidden-input-in-table",
        "unexpected-start-tag-in-select",
    }
)


def read_page(text: str) -> Reading:
    """A page."""
    page = _Page()
    page.read(text)
    return page.reading


class _TooDeep(Exception):
    pass


class _Tokens(HTMLTokenizer):  # type: ignore[misc] # the package has no types
    """html5lib's tokens; the parser hears each one, and then learns where the next one begins."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for token in super().__iter__():
            self.parser.hear(token)
            yield token
            self.parser.line = self.stream.position()[0]


class _Page(HTMLParser):  # type: ignore[misc] # the package has no types
    """Listens to the tags on their way into the tree, which is not wanted itself.

    The tree repeats elements that were closed in the wrong order; the tags come once, and have their lines.
    """

    def __init__(self) -> None:
        super().__init__(tree=getTreeBuilder("etree"))
        self.reading = Reading()
        self.line = 1
        self._drawings = 0
        self._raw: tuple[str, dict[str, str], int] | None = None
        self._text: list[str] = []
        self._title = ""
        self._html: dict[str, str] | None = None
        self._closed = False

    def read(self, text: str) -> None:
        """Reads a page to its end, as ``parse`` would."""
        self.innerHTMLMode = self.scripting = False
        self.tokenizer = _Tokens(text, parser=self)
        self.reset()
        try:
            self.mainLoop()
        except _TooDeep:
            message = f"Elements are nested deeper than {_MOST_DEEP} levels."
            self.reading.problem("html-syntax", message, self.line)
            return
        self._conclude()

    def hear(self, token: dict[str, Any]) -> None:
        """Takes note of a token."""
        if len(self.tree.openElements) > _MOST_DEEP:
            raise _TooDeep
        kind, name = token["type"], token.get("name")
        if kind == tokenTypes["StartTag"]:
            self._open(str(name), {str(key): value for key, value in token["data"].items()}, token)
        elif kind == tokenTypes["EndTag"]:
            self._close(str(name))
        elif self._raw and kind in (tokenTypes["Characters"], tokenTypes["SpaceCharacters"]):
            self._text.append(token["data"])

    def _open(self, tag: str, attributes: dict[str, str], token: dict[str, Any]) -> None:
        line = self.line
        if tag == "svg" and not token["selfClosing"]:
            self._drawings += 1
        if tag == "html":
            self._html = attributes
        elif tag == "base" and "href" in attributes:
            self.reading.base = self.reading.base or attributes["href"].strip()
        self._name(tag, attributes, line)
        self._describe(tag, attributes, line)
        drawing = self._drawings > 0 or tag == "svg"
        read_attributes(tag, attributes, line, self.reading, drawing=drawing)
        if tag in _RAW and not (drawing and token["selfClosing"]):
            self._raw, self._text = (tag, attributes, line), []

    def _name(self, tag: str, attributes: dict[str, str], line: int) -> None:
        found = attributes.get("id", "")
        if found in self.reading.ids:
            first = self.reading.ids[found]
            message = f"The id {found!r} is on the page already (line {first})."
            self.reading.problem("duplicate-id", message, line)
        elif found:
            self.reading.ids[found] = line
        if tag == "a" and attributes.get("name"):
            self.reading.ids.setdefault(attributes["name"], line)

    def _describe(self, tag: str, attributes: dict[str, str], line: int) -> None:
        pictured = (
            tag == "img"
            or (tag == "area" and "href" in attributes)
            or (tag == "input" and attributes.get("type", "").lower() == "image")
        )
        hidden = attributes.get("aria-hidden") == "true" or attributes.get("role") in {
            "none",
            "presentation",
        }
        named = {"alt", "aria-label", "aria-labelledby"} & attributes.keys()
        if pictured and not named and not hidden:
            self.reading.problem("missing-alt", f"<{tag}> has no alt text.", line)

    def _close(self, tag: str) -> None:
        if tag == "svg":
            self._drawings = max(0, self._drawings - 1)
        self._closed = self._closed or tag == "html"
        if self._raw and self._raw[0] == tag:
            self._read_raw(*self._raw, "".join(self._text))
            self._raw = None

    def _read_raw(self, tag: str, attributes: dict[str, str], line: int, text: str) -> None:
        if tag == "title":
            self._title = self._title or (text.strip() if not self._drawings else "")
        elif tag == "style":
            self.reading.include(read_stylesheet(text), line)
        elif "src" not in attributes:
            kind = attributes.get("type", "").strip().lower()
            if kind in _SCRIPT_TYPES:
                self.reading.include(read_script(text), line)
                self.reading.scripts.append(text)
            elif kind in _JSON_TYPES:
                self.reading.include(read_json(text), line)

    def _conclude(self) -> None:
        """Says what can be said only when all of it was heard."""
        self._complain()
        if not self._title:
            self.reading.problem("missing-title", "The page has no title.", 1)
        if not (self._html or {}).get("lang", "").strip():
            self.reading.problem("missing-lang", "<html> does not say its language: lang.", 1)

    def _complain(self) -> None:
        """The parser's errors. Where the page is cut off, that explains all others at its end."""
        cut = self._raw is not None or (self._html is not None and not self._closed)
        if cut:
            inside = f" inside <{self._raw[0]}>" if self._raw else ""
            message = f"The page ends{inside} before it is closed: it is cut off."
            self.reading.problem("html-cut-off", message, self.line)
        told = 0
        for (line, _), code, values in self.errors:
            if code in _HARMLESS or (cut and ("eof" in code or "EOF" in code)):
                continue
            if "doctype" in code:
                self.reading.problem(
                    "missing-doctype", "The page does not begin with a doctype.", line
                )
                continue
            told += 1
            if told <= _MOST_PROBLEMS:
                self.reading.problem("html-syntax", _words(code, values), line)


def _words(code: str, values: dict[str, Any]) -> str:
    if code.startswith("adoption-agency"):
        return f"Elements are closed in the wrong order: </{values.get('name')}>."
    try:
        return str(WORDS[code] % values)
    except (KeyError, TypeError, ValueError):
        return f"{code.replace('-', ' ')}."

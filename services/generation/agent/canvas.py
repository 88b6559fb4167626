"""A file that is being written, as far as it can be shown: HTML is cut where no tag, script or style is half there.

CSS can be cut anywhere: a browser ends what is open at a style sheet's end and drops the declaration that is not whole.
Other kinds of files are shown when they are done.
"""

from __future__ import annotations

from html.parser import HTMLParser

from kit.paths import media_type

MOST_BYTES = 1024 * 1024
"""A larger file has no draft."""
_LONGEST_TAG = 16 * 1024
_LONGEST_SCRIPT = 128 * 1024
"""Characters; beyond a draft is given up, as following it would take ever longer."""
_HIDDEN = frozenset({"script", "style"})


class Canvas:
    """One file's text so far."""

    def __init__(self, path: str) -> None:
        """Empty."""
        self.path = path
        self._parts: list[str] = []
        self._characters = 0
        self._markup = _Markup() if media_type(path) == "text/html" else None
        self._kept = self._markup is not None or media_type(path) == "text/css"

    def add(self, text: str) -> None:
        """What comes next. Each character is looked at once, but for those of a tag that is not whole yet."""
        if not self._kept:
            return
        self._characters += len(text)
        if self._characters > MOST_BYTES or not self._followed(text):
            self._kept, self._markup, self._parts = False, None, []
            return
        self._parts.append(text)

    def _followed(self, text: str) -> bool:
        if self._markup is None:
            return True
        try:
            self._markup.feed(text)
        except Exception:  # noqa: BLE001 - the parser asserts on "<![x[" and the like: a draft is not worth a turn
            return False
        return self._markup.open_characters <= (
            _LONGEST_SCRIPT if self._markup.cdata_elem else _LONGEST_TAG
        )

    def picture(self) -> bytes:
        """What can be shown now; empty for nothing."""
        if not self._kept:
            return b""
        self._parts = ["".join(self._parts)]
        text = self._parts[0]
        content = (text[: self._markup.safe] if self._markup else text).encode()
        return content if len(content) <= MOST_BYTES else b""


class _Markup(HTMLParser):
    """Follows HTML as it comes; ``safe`` characters of it can be shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._at = 0
        self._hidden_from: int | None = None

    @property
    def open_characters(self) -> int:
        """Of what it has not made sense of yet, and looks at anew with each piece."""
        return len(self.rawdata)

    @property
    def safe(self) -> int:
        """Before what the parser has not made sense of yet, and before a script or style that has no end yet."""
        return self._at if self._hidden_from is None else self._hidden_from

    def updatepos(self, i: int, j: int) -> int:
        """Called by the parser for each piece that it is done with."""
        self._at += max(0, j - i)
        return j

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        """Called before the tag itself counts as done."""
        if tag in _HIDDEN and self._hidden_from is None:
            self._hidden_from = self._at

    def handle_endtag(self, tag: str) -> None:
        """A script or style is whole."""
        if tag in _HIDDEN:
            self._hidden_from = None

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``<br/>``: in HTML the slash means nothing."""
        self.handle_starttag(tag, attrs)
        if tag in _HIDDEN:
            self.set_cdata_mode(tag)

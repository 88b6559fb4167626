"""A file that the model is still writing, as deltas to show."""

from __future__ import annotations

from kit.errors import Invalid
from kit.paths import checked_path
from services.generation.agent.decoder import ObjectDecoder, Piece
from services.generation.model import FileDelta


class FileDraft:
    """Follows one ``write_file`` call. Nothing is shown before the path is known and good."""

    def __init__(self) -> None:
        """At the beginning of the call's input."""
        self._decoder = ObjectDecoder()
        self._path = ""
        self._path_parts: list[str] = []
        self._held: list[str] = []
        self._offset = 0
        self._hidden = False
        self._content_ended = False

    def feed(self, json: str) -> FileDelta | None:
        """What the next piece of the input adds to the file; ``None`` for nothing that can be shown."""
        for piece in self._decoder.feed(json):
            self._take(piece)
        if not self._held or not self._path or self._hidden:
            return None
        text = _shown("".join(self._held))
        self._held.clear()
        delta = FileDelta(self._path, text, self._offset)
        self._offset += len(text)
        return delta if text else None

    def _take(self, piece: Piece) -> None:
        if piece.key == "content" and not self._content_ended:
            self._content_ended = piece.ended
            if not self._hidden:
                self._held.append(piece.text)
        elif piece.key == "path" and not self._path:
            self._path_parts.append(piece.text)
            if piece.ended:
                self._name("".join(self._path_parts))

    def _name(self, path: str) -> None:
        try:
            self._path = checked_path(path)
        except Invalid:
            self._hidden = True
            self._held.clear()


def _shown(text: str) -> str:
    """Half a surrogate pair, which no UTF-8 can hold, is shown as the replacement character."""
    return (
        "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
        if (not text.isascii())
        else text
    )

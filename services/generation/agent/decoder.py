"""Reads a JSON object while it arrives: the text of its top-level strings, piece by piece, in linear time.

Only for showing. What is written comes from the complete text, parsed by the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_PLAIN = re.compile(r'[^"\\]+')
_INSIDE = re.compile(r'[^"\\{}\[\]]+')
_SPACE = " \t\n\r"
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_HEX = set("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the string under a top-level key; the last one of a string is ``ended``."""

    key: str
    text: str
    ended: bool = False


class _At(Enum):
    START = auto()  # before "{"
    KEY = auto()  # before a key or "}"
    IN_KEY = auto()
    COLON = auto()
    VALUE = auto()
    IN_STRING = auto()
    IN_OTHER = auto()  # inside a number, a literal, an array or an object
    COMMA = auto()
    END = auto()
    BROKEN = auto()


class ObjectDecoder:
    """Takes the text in any cut and gives the same pieces' text."""

    def __init__(self) -> None:
        """At the beginning of the object."""
        self._at = _At.START
        self._key = ""
        self._string = _StringDecoder()
        self._depth = 0
        self._quoted = False
        self._skip = False

    @property
    def broken(self) -> bool:
        """Whether it can't be an object any more; nothing is given from then on."""
        return self._at is _At.BROKEN

    def feed(self, text: str) -> list[Piece]:
        """What the next piece of JSON text adds."""
        pieces: list[Piece] = []
        index = 0
        while index < len(text):
            if self._at in (_At.IN_KEY, _At.IN_STRING):
                index = self._in_string(text, index, pieces)
            elif self._at is _At.IN_OTHER:
                index = self._in_other(text, index)
            else:
                index += self._between(text[index])
        return pieces

    def _in_string(self, text: str, index: int, pieces: list[Piece]) -> int:
        index, found = self._string.feed(text, index)
        if self._string.broken:
            self._at = _At.BROKEN
            return len(text)
        ended = self._string.ended
        if self._at is _At.IN_KEY:
            self._key += found
            if ended:
                self._at = _At.COLON
        else:
            if found or ended:
                pieces.append(Piece(self._key, found, ended))
            if ended:
                self._at = _At.COMMA
        return index

    def _between(self, char: str) -> int:
        """How many characters it took: the first one of a number or a literal belongs to that."""
        if char in _SPACE or self._at is _At.BROKEN:
            return 1
        match self._at, char:
            case _At.START, "{":
                self._at = _At.KEY
            case _At.KEY, '"':
                self._at, self._key, self._string = _At.IN_KEY, "", _StringDecoder()
            case (_At.KEY, "}") | (_At.COMMA, "}"):
                self._at = _At.END
            case _At.COLON, ":":
                self._at = _At.VALUE
            case _At.VALUE, '"':
                self._at, self._string = _At.IN_STRING, _StringDecoder()
            case _At.VALUE, _:
                self._at, self._depth, self._quoted, self._skip = _At.IN_OTHER, 0, False, False
                return 0
            case _At.COMMA, ",":
                self._at = _At.KEY
            case _:
                self._at = _At.BROKEN
        return 1

    def _in_other(self, text: str, index: int) -> int:
        """Passes over a value that is no string, up to the comma or brace behind it."""
        while index < len(text):
            if self._quoted:
                index = self._pass_quoted(text, index)
                continue
            char = text[index]
            if self._depth == 0 and char in ",}":
                self._at = _At.COMMA
                return index
            self._quoted = char == '"'
            self._depth += (char in "{[") - (char in "}]")
            index = _after(_INSIDE, text, index) if self._depth else index + 1
        return index

    def _pass_quoted(self, text: str, index: int) -> int:
        char = text[index]
        if self._skip:
            self._skip = False
        elif char == "\\":
            self._skip = True
        elif char == '"':
            self._quoted = False
        else:
            return _after(_PLAIN, text, index)
        return index + 1


class _StringDecoder:
    """The inside of one JSON string, up to its closing quote."""

    def __init__(self) -> None:
        self.ended = False
        self.broken = False
        self._escape = ""
        self._high = ""

    def feed(self, text: str, index: int) -> tuple[int, str]:
        """How far it read, and the characters that are complete."""
        out: list[str] = []
        while index < len(text) and not self.ended and not self.broken:
            char = text[index]
            if self._escape:
                self._escaped(char, out)
            elif char == "\\":
                self._escape = char
            elif char == '"':
                self._flush(out)
                self.ended = True
            else:
                self._flush(out)
                end = _after(_PLAIN, text, index)
                out.append(text[index:end])
                index = end
                continue
            index += 1
        return index, "".join(out)

    def _escaped(self, char: str, out: list[str]) -> None:
        self._escape += char
        if len(self._escape) == 2 and char != "u":
            self.broken = char not in _SIMPLE
            self._flush(out)
            out.append(_SIMPLE.get(char, ""))
            self._escape = ""
        elif len(self._escape) > 2 and char not in _HEX:
            self.broken = True
        elif len(self._escape) == 6:
            self._unit(chr(int(self._escape.removeprefix("\\u"), base=16)), out)
            self._escape = ""

    def _unit(self, unit: str, out: list[str]) -> None:
        """One UTF-16 code unit: half of a pair waits for the other half."""
        if self._high and "\udc00" <= unit <= "\udfff":
            pair = (self._high + unit).encode("utf-16", "surrogatepass")
            out.append(pair.decode("utf-16"))
            self._high = ""
            return
        self._flush(out)
        if "\ud800" <= unit <= "\udbff":
            self._high = unit
        else:
            out.append(unit)

    def _flush(self, out: list[str]) -> None:
        if self._high:
            out.append(self._high)
            self._high = ""


def _after(pattern: re.Pattern[str], text: str, index: int) -> int:
    found = pattern.match(text, index)
    return found.end() if found else index + 1

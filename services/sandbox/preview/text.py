"""Text on its way into URLs, JSON and HTML. The standard library's modules for it cost a sandbox two megabytes."""

from __future__ import annotations

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")


def quoted(path: str) -> str:
    """A path in a URL (RFC 3986); slashes stay."""
    data = path.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data)


def unquoted(path: str) -> str:
    """The path that a URL names; a percent sign without two digits stands for itself."""
    first, *parts = path.encode("latin-1").split(b"%")
    found = [first]
    for part in parts:
        try:
            found += [bytes.fromhex(part[:2].decode("ascii")), part[2:]]
        except ValueError:
            found += [b"%", part]
    return b"".join(found).decode("utf-8", "surrogateescape")


def json_text(text: str) -> str:
    """Text as JSON (RFC 8259), in ASCII."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [units[at] << 8 | units[at + 1] for at in range(0, len(units), 2)]
    shown = [
        chr(code) if 32 <= code < 127 and chr(code) not in '"\\' else f"\\u{code:04x}"
        for code in codes
    ]
    return '"' + "".join(shown) + '"'


def html_text(text: str) -> str:
    """Text as HTML, in attributes too."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text

"""Putting our script into the project's pages."""

from __future__ import annotations

from .text import html_text

OURS = "/__sandwright/"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLANK = b" \t\r\n\f"


def with_script(html: bytes, version: str, file: str) -> bytes:
    """A page with our script in front of everything that it does.

    There the script works however the page goes on: a draft may end in the middle of a tag, and a policy that the page
    gives itself in a meta element holds only for what follows it. ``version``: of what is shown; ``file``: the path of
    the file that this is, empty for a page of our own.
    """
    if html.startswith(_UTF16):
        return html  # our tag would not be one
    at = _place(html)
    tag = (
        f'<script src="{OURS}live.js" data-version="{html_text(version)}" '
        f'data-file="{html_text(file)}"></script>'
    )
    return html[:at] + tag.encode("utf-8", "surrogateescape") + html[at:]


def _place(html: bytes) -> int:
    """Behind what must come first, as far as it is there: the document type, ``<html>``, ``<head>``."""
    at = len(_BOM) if html.startswith(_BOM) else 0
    for name in (b"<!doctype", b"<html", b"<head"):
        begin = _past_blank(html, at)
        rest = html[begin : begin + len(name) + 1]
        if rest[:-1].lower() == name and rest[-1:] in (
            b">",
            b"/",
            *(b"%c" % one for one in _BLANK),
        ):
            end = _tag_end(html, begin)
            if end < 0:
                return at
            at = end
    return at


def _past_blank(html: bytes, at: int) -> int:
    """Behind white space, comments and processing instructions."""
    while True:
        while html[at : at + 1] in _BLANK and at < len(html):
            at += 1
        if html.startswith(b"<!--", at):
            end = html.find(b"-->", at)
            skipped = end + 3
        elif html.startswith(b"<?", at):
            end = html.find(b">", at)
            skipped = end + 1
        else:
            return at
        if end < 0:
            return at
        at = skipped


def _tag_end(html: bytes, at: int) -> int:
    """Behind the tag that begins here; -1 where it does not end. A quoted value may hold a ``>``."""
    quote = b""
    while at < len(html):
        char = html[at : at + 1]
        if quote:
            quote = b"" if char == quote else quote
        elif char in b"\"'":
            quote = char
        elif char == b">":
            return at + 1
        at += 1
    return -1

"""What has to leave a sandbox for the store's files to be there."""

from __future__ import annotations

from datetime import UTC, datetime

from services.sandbox.model import SITE, Scan, Seen
from services.sandbox.service.filling import superfluous

_SEEN = Seen(1, datetime.now(UTC), "")


def at(*paths: str) -> frozenset[str]:
    return frozenset(f"{SITE}/{path}" for path in paths)


def scan(
    *files: str,
    others: tuple[str, ...] = (),
    folders: tuple[str, ...] = (),
    ignored: tuple[str, ...] = (),
) -> Scan:
    return Scan(dict.fromkeys(at(*files), _SEEN), at(*others), True, at(*folders), at(*ignored))


def test_what_was_made_inside_stays_and_what_a_write_took_away_goes() -> None:
    seen = scan("index.html", "made.txt", "sub/old.txt", folders=("sub", "empty"))
    assert superfluous(seen, at("index.html"), at("sub/old.txt", "index.html", "nowhere")) == [
        f"{SITE}/sub/old.txt"
    ]


def test_after_a_reset_all_goes_that_the_store_has_not_but_for_what_is_ignored() -> None:
    seen = scan(
        "index.html",
        "made.txt",
        "a/b/c.txt",
        "deep/made.txt",
        others=("link",),
        folders=("a", "a/b", "css", "deep"),
        ignored=("deep/node_modules", ".git"),
    )
    assert superfluous(seen, at("index.html", "css/a.css"), None) == sorted(
        at("a", "deep/made.txt", "link", "made.txt")
    )


def test_what_is_in_the_way_goes_always() -> None:
    seen = scan("docs", others=("css",), folders=("index.html", "index.html/sub"))
    wanted = at("index.html", "docs/a.md", "css/a.css")
    expected = sorted(at("css", "docs", "index.html"))
    assert superfluous(seen, wanted, at()) == expected
    assert superfluous(seen, wanted, None) == expected

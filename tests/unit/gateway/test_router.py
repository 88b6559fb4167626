"""Which route a URL finds, and what its variables are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoder.errors import ContractError, HttpError
from gateway.transcoder.router import Router
from gateway.transcoder.template import parse_template

ROUTES = [
    ("GET", "/v1/{name=items/*}"),
    ("GET", "/v1/items/special"),
    ("GET", "/v1/items"),
    ("POST", "/v1/items"),
    ("POST", "/v1/{name=items/*}:cancel"),
    ("POST", "/v1/items:batch"),
    ("GET", "/v1/projects/{project}/files"),
    ("GET", "/v1/projects/{project}/files/{path=**}"),
    ("PUT", "/v1/projects/{project}/files/{path=**}"),
    ("GET", "/v1/projects/{project}/files:watch"),
    ("POST", "/v1/{rest=trees/**}:prune"),
    ("GET", "/v1/{a=x/*/y/*}/z"),
    ("GET", "/v1/x/{b}/y/{c}/{d}"),
    ("GET", "/v1/{wild=**}"),
    ("REPORT", "/v1/{name=items/*}"),
    ("*", "/any/{name}"),
    ("DELETE", "/any/{name}"),
]


@pytest.fixture(name="router", scope="module")
def _router() -> Router[str]:
    router: Router[str] = Router()
    for method, source in ROUTES:
        router.add(method, parse_template(source), f"{method} {source}")
    return router


@pytest.mark.parametrize(
    ("method", "url", "route", "values"),
    [
        ("GET", "/v1/items/a", "/v1/{name=items/*}", ["items/a"]),
        ("GET", "/v1/items/special", "/v1/items/special", []),
        ("GET", "/v1/items/speci%61l", "/v1/items/special", []),
        ("GET", "/v1/items", "/v1/items", []),
        ("POST", "/v1/items", "/v1/items", []),
        # a colon is a verb's only where that method has such a verb
        ("GET", "/v1/items/a:cancel", "/v1/{name=items/*}", ["items/a:cancel"]),
        ("POST", "/v1/items/a:cancel", "/v1/{name=items/*}:cancel", ["items/a"]),
        ("POST", "/v1/items/a:b:cancel", "/v1/{name=items/*}:cancel", ["items/a:b"]),
        ("GET", "/v1/items/a:b", "/v1/{name=items/*}", ["items/a:b"]),
        ("GET", "/v1/items/a%3Acancel", "/v1/{name=items/*}", ["items/a:cancel"]),
        ("POST", "/v1/items:batch", "/v1/items:batch", []),
        ("GET", "/v1/projects/p/files:watch", "/v1/projects/{project}/files:watch", ["p"]),
        # one segment decodes an encoded slash, several keep it
        ("GET", "/v1/projects/a%2Fb/files", "/v1/projects/{project}/files", ["a/b"]),
        ("GET", "/v1/items/a%2Fb", "/v1/{name=items/*}", ["items/a%2Fb"]),
        ("GET", "/v1/items/a%2fb%20c", "/v1/{name=items/*}", ["items/a%2fb c"]),
        ("GET", "/v1/items/a+b", "/v1/{name=items/*}", ["items/a+b"]),
        ("GET", "/v1/items/%00", "/v1/{name=items/*}", ["items/\0"]),
        ("GET", "/v1/items/%C3%A9", "/v1/{name=items/*}", ["items/é"]),
        ("GET", "/v1/items/100%25", "/v1/{name=items/*}", ["items/100%"]),
        ("GET", "/v1/items/..", "/v1/{name=items/*}", ["items/.."]),
        # ** takes any number of segments, none too
        ("GET", "/v1/projects/p/files", "/v1/projects/{project}/files", ["p"]),
        ("GET", "/v1/projects/p/files/", "/v1/projects/{project}/files/{path=**}", ["p", ""]),
        ("PUT", "/v1/projects/p/files", "/v1/projects/{project}/files/{path=**}", ["p", ""]),
        ("GET", "/v1/projects/p/files/a", "/v1/projects/{project}/files/{path=**}", ["p", "a"]),
        (
            "GET",
            "/v1/projects/p/files/a/b%20c/d.css",
            "/v1/projects/{project}/files/{path=**}",
            ["p", "a/b c/d.css"],
        ),
        (
            "PUT",
            "/v1/projects/p/files/a/../b",
            "/v1/projects/{project}/files/{path=**}",
            ["p", "a/../b"],
        ),
        ("PUT", "/v1/projects/p/files/a:b", "/v1/projects/{project}/files/{path=**}", ["p", "a:b"]),
        (
            "PUT",
            "/v1/projects/p/files/a//b",
            "/v1/projects/{project}/files/{path=**}",
            ["p", "a//b"],
        ),
        ("POST", "/v1/trees:prune", "/v1/{rest=trees/**}:prune", ["trees"]),
        ("POST", "/v1/trees/a/b:prune", "/v1/{rest=trees/**}:prune", ["trees/a/b"]),
        # the most specific wins, and a dead end is left again
        ("GET", "/v1/x/1/y/2/z", "/v1/{a=x/*/y/*}/z", ["x/1/y/2"]),
        ("GET", "/v1/x/1/y/2/w", "/v1/x/{b}/y/{c}/{d}", ["1", "2", "w"]),
        ("GET", "/v1/x/1/q", "/v1/{wild=**}", ["x/1/q"]),
        ("GET", "/v1/items/a/b", "/v1/{wild=**}", ["items/a/b"]),
        ("GET", "/v1", "/v1/{wild=**}", [""]),
        ("REPORT", "/v1/items/a", "/v1/{name=items/*}", ["items/a"]),
        ("BREW", "/any/a", "/any/{name}", ["a"]),
        ("DELETE", "/any/a", "/any/{name}", ["a"]),
    ],
)
def test_a_url_finds_the_most_specific_route(
    router: Router[str], method: str, url: str, route: str, values: list[str]
) -> None:
    found = router.match(method, url)
    assert found is not None
    chosen = "*" if method == "BREW" else method
    assert found.route == f"{chosen} {route}"
    assert found.values() == values


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("GET", "/nowhere", []),
        ("GET", "/", []),
        ("GET", "", []),
        ("GET", "//v1/items", []),
        ("GET", "/any/", []),
        ("GET", "/any/a/b", []),
        ("DELETE", "/v1/items", ["GET", "POST"]),
        ("PATCH", "/v1/items/a", ["GET", "REPORT"]),
        ("PUT", "/v1/items/a:cancel", ["GET", "POST", "REPORT"]),
        ("POST", "/v1/projects/p/files/a", ["GET", "PUT"]),
    ],
)
def test_what_no_route_takes_says_which_methods_there_are(
    router: Router[str], method: str, url: str, allowed: list[str]
) -> None:
    assert router.match(method, url) is None
    assert router.allowed(url) == allowed


@pytest.mark.parametrize(
    "url", ["/v1/items/%zz", "/v1/items/a%", "/v1/items/%4", "/v1/items/%ff", "/v1/q/%C3%28"]
)
def test_broken_escapes_are_refused_naming_the_variable(router: Router[str], url: str) -> None:
    found = router.match("GET", url)
    assert found is not None
    with pytest.raises(HttpError, match="path is not valid") as caught:
        found.values()
    assert caught.value.http == 400


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/v1/{a}", "/v1/{b}"),
        ("/v1/{a=*}", "/v1/*"),
        ("/v1/{a=items/*}", "/v1/items/{b}"),
        ("/v1/{a=**}", "/v1/**"),
        ("/v1/{a}:x", "/v1/{b}:x"),
        ("/v1/%61", "/v1/a"),
    ],
)
def test_equally_specific_routes_stop_the_start(first: str, second: str) -> None:
    router: Router[str] = Router()
    router.add("GET", parse_template(first), "one")
    router.add("POST", parse_template(second), "another method is no conflict")
    with pytest.raises(ContractError, match="match the same URLs"):
        router.add("GET", parse_template(second), "two")


_SEGMENT = st.text("abAB:-._~ %/é+", min_size=1, max_size=6)


@given(project=_SEGMENT, path=st.lists(_SEGMENT, min_size=1, max_size=4))
def test_an_expanded_template_matches_back(project: str, path: Any) -> None:
    router: Router[str] = Router()
    router.add("GET", parse_template("/p/{project}/files/{path=**}"), "route")
    url = f"/p/{_expand(project)}/files/" + "/".join(_expand(step) for step in path)
    found = router.match("GET", url)
    assert found is not None
    # In a variable of several segments an encoded slash stays encoded.
    assert found.values() == [project, "/".join(step.replace("/", "%2F") for step in path)]


def _expand(text: str) -> str:
    safe = "-_.~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(c if c in safe else "".join(f"%{b:02X}" for b in c.encode()) for c in text)

"""What the attributes of elements, in HTML and in SVG, refer to."""

from __future__ import annotations

from collections.abc import Mapping

from services.generation.checks.reading import IdReference, Kind, Reading, Reference
from services.generation.checks.script import read_script
from services.generation.checks.stylesheet import read_declarations, read_value

# Addresses of other places, of no file, and what only names the site itself.
_UNFOLLOWED_RELS = frozenset({"canonical", "dns-prefetch", "preconnect"})
_LINKS = {
    "a": ("href", "xlink:href"),
    "area": ("href",),
    "form": ("action",),
    "button": ("formaction",),
    "iframe": ("src",),
}
_ASSETS = {
    "audio": ("src",),
    "embed": ("src",),
    "feimage": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
    "img": ("src",),
    "input": ("src", "formaction"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src", "href", "xlink:href"),
    "source": ("src",),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
    "lineargradient": ("href", "xlink:href"),
    "radialgradient": ("href", "xlink:href"),
    "mpath": ("href", "xlink:href"),
    "textpath": ("href", "xlink:href"),
}
_SETS = {"img": "srcset", "source": "srcset", "link": "imagesrcset"}
_VALUES = frozenset(
    {
        "clip-path",
        "cursor",
        "fill",
        "filter",
        "marker-end",
        "marker-mid",
        "marker-start",
        "mask",
        "stroke",
    }
)
_ONE_ID = frozenset(
    {"aria-activedescendant", "aria-errormessage", "commandfor", "form", "list", "popovertarget"}
)
_IDS = frozenset(
    {
        "aria-controls",
        "aria-describedby",
        "aria-details",
        "aria-flowto",
        "aria-labelledby",
        "aria-owns",
        "headers",
    }
)


def read_attributes(
    tag: str, attributes: Mapping[str, str], line: int, reading: Reading, *, drawing: bool
) -> None:
    """Adds what an element's attributes say. ``drawing``: whether it belongs to an SVG."""
    _addresses(tag, attributes, line, reading)
    for name, value in attributes.items():
        if name == "style":
            reading.include(read_declarations(value), line)
        elif drawing and name in _VALUES:
            reading.include(read_value(value), line)
        elif name.startswith("on") and value.strip():
            reading.include(read_script(value), line)
            reading.scripts.append(value)
        else:
            _ids(tag, name, value, line, reading)


def _addresses(tag: str, attributes: Mapping[str, str], line: int, reading: Reading) -> None:
    if tag == "link" and _UNFOLLOWED_RELS & set(attributes.get("rel", "").lower().split()):
        return
    for names, kind in ((_LINKS.get(tag, ()), Kind.LINK), (_ASSETS.get(tag, ()), Kind.ASSET)):
        for name in names:
            if name in attributes:
                reading.references.append(Reference(attributes[name].strip(), line, kind))
    if found := attributes.get(_SETS.get(tag, "")):
        reading.references += [Reference(url, line) for url in candidates(found)]


def candidates(srcset: str) -> list[str]:
    """The addresses in a ``srcset``. An address may hold commas, but not end with one."""
    found: list[str] = []
    words = iter(srcset.split())
    for word in words:
        url = word.lstrip(",")
        if not url:
            continue
        found.append(url.rstrip(","))
        if url.endswith(","):
            continue
        # Its description, up to the comma behind it.
        for rest in words:
            if "," in rest:
                after = rest.partition(",")[2]
                found += [after] if after else []
                break
    return [url for url in found if url]


def _ids(tag: str, name: str, value: str, line: int, reading: Reading) -> None:
    if name in _ONE_ID or (name == "for" and tag == "label"):
        targets = [value.strip()]
    elif name in _IDS or (name == "for" and tag == "output"):
        targets = value.split()
    else:
        return
    reading.id_references += [IdReference(target, name, line) for target in targets if target]

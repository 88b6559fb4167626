"""How much there is for the model to read, roughly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

# What an image or a page of a document costs does not depend on its bytes: about 1,600 tokens each.
_IMAGE_CHARACTERS = 6_400
_BYTES_A_PAGE = 50_000


def characters(contents: Iterable[Sequence[Any]]) -> int:
    """Of messages' content blocks; images and documents count as what they are read as."""
    return sum(_block(block) for content in contents for block in content)


def _block(block: Any) -> int:
    source = block.get("source") if isinstance(block, dict) else None
    if not isinstance(source, dict) or source.get("type") != "base64":
        return len(json.dumps(block))
    pages = 1
    if block.get("type") == "document":
        pages += len(str(source.get("data", ""))) // _BYTES_A_PAGE
    return pages * _IMAGE_CHARACTERS

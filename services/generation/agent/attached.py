"""Attachments as the model reads them: images to look at, documents to read, all of them material."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from services.generation.language_model import Block
from services.generation.model import Attachment

_SHOWN_CHARACTERS = 100_000


def attachment_blocks(attached: Sequence[Attachment]) -> list[Block]:
    """One block each, in their order."""
    return [_block(one) for one in attached]


def attachment_list(attached: Sequence[Attachment]) -> list[str]:
    """Lines that name them."""
    return [f'- "{one.name}": {one.media_type}, {len(one.content)} bytes' for one in attached]


def _block(one: Attachment) -> Block:
    if one.media_type == "application/pdf":
        return {"type": "document", "title": one.name, "source": _encoded(one)}
    if one.media_type.startswith("image/") and one.media_type != "image/svg+xml":
        return {"type": "image", "source": _encoded(one)}
    text = one.content.decode()
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}\n(Cut here: it has {len(text)} characters.)"
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "title": one.name, "source": source}


def _encoded(one: Attachment) -> Block:
    data = base64.b64encode(one.content).decode()
    return {"type": "base64", "media_type": one.media_type, "data": data}

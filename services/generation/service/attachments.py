"""What may come along with a prompt, and that it is what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import Invalid, QuotaExceeded
from kit.paths import media_type
from services.generation.model import Attachment
from services.generation.repository import Leftovers

MOST_BYTES = 5 * 1024 * 1024
"""All attachments of a prompt together."""
_UNKNOWN = "application/octet-stream"
_ACCEPTED = "must be image/png, image/jpeg, image/gif, image/webp, application/pdf, or text"
_TEXTS = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/manifest+json",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)


def checked(given: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """The attachments with the media types that they have. Raises ``Invalid`` naming what is wrong."""
    total = sum(len(one.content) for one in given)
    if total > MOST_BYTES:
        raise Invalid.field(
            "attachments", f"must have at most {MOST_BYTES} bytes together, and have {total}"
        )
    names: set[str] = set()
    found = []
    for index, one in enumerate(given):
        if one.name in names:
            raise Invalid.field(f"attachments[{index}].name", "must not be another one's too")
        names.add(one.name)
        found.append(_typed(one, f"attachments[{index}]"))
    return tuple(found)


async def make_room(
    connection: AsyncConnection, owner_id: str, added: Sequence[Attachment], most: int
) -> None:
    """Room for what is added, by forgetting those of generations that have ended. Asked with the owner locked.

    Raises ``QuotaExceeded`` (ATTACHMENT_QUOTA) where those of generations under way leave too little of ``most`` bytes.
    """
    size = sum(len(one.content) for one in added)
    if not size:
        return
    leftovers = Leftovers(connection)
    used = await leftovers.stored(owner_id)
    if used + size > most:
        used -= await leftovers.forget_oldest(owner_id, used + size - most)
    if used + size > most:
        raise QuotaExceeded(
            f"attachments of generations under way have {used} bytes, these have {size}; the limit is {most}",
            reason="ATTACHMENT_QUOTA",
            metadata={"limit": str(most), "used": str(used)},
        )


def _typed(one: Attachment, field: str) -> Attachment:
    said = one.media_type or media_type(one.name)
    is_binary = sniffed(one.content)
    if said == _UNKNOWN:
        said = is_binary or "text/plain"
    if said.startswith("text/") or said in _TEXTS:
        if not _is_text(one.content):
            raise Invalid.field(f"{field}.content", f"must be text in UTF-8 to be {said}")
        return replace(one, media_type=said)
    if said not in {kind for kind, _ in _MAGIC} | {"image/webp"}:
        raise Invalid.field(f"{field}.media_type", f"{_ACCEPTED}, and is {said}")
    if said != is_binary:
        there = f", and is {is_binary}" if is_binary else ""
        raise Invalid.field(f"{field}.content", f"must be {said}{there}")
    return replace(one, media_type=said)


_MAGIC = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF87a"),
    ("image/gif", b"GIF89a"),
    ("application/pdf", b"%PDF-"),
)


def sniffed(content: bytes) -> str:
    """The media type that a file's first bytes tell, empty where they tell none of those that are accepted."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for kind, magic in _MAGIC if content.startswith(magic)), "")


def _is_text(content: bytes) -> bool:
    try:
        return "\x00" not in content.decode()
    except UnicodeDecodeError:
        return False

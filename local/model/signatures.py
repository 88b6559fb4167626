"""Signatures of thinking blocks: each binds a thought to the prefix that it was thought after."""

import base64
import hashlib
import hmac
from typing import Any

import orjson

from local.model.errors import InvalidRequest
from local.model.tokens import without_cache_control
from local.model.wire import CountBody, Message, RedactedThinkingBlock, ThinkingBlock

# Not a secret: a signature here catches a transcript that was altered by mistake, and must outlive
# a restart of the server.
_KEY = b"sandwright-composer"


class Prefix:
    """A hash that grows over system, tools and the messages, in order."""

    def __init__(self, body: CountBody) -> None:
        self._hash = hashlib.sha256()
        self._role = ""
        for block in (*body.tools, *body.system):
            self._add(block.model_dump(exclude_none=True))

    def add(self, message: Message) -> None:
        """Extend the prefix by `message`. Where a turn is split into messages has no effect."""
        if message.role != self._role:
            self._role = message.role
            self._add({"role": message.role})
        for block in message.content:
            self._add(block.model_dump(exclude_none=True))

    def sign(self, thinking: str) -> str:
        """The signature of a thought that follows this prefix."""
        digest = hmac.new(_KEY, self._hash.digest() + thinking.encode(), hashlib.sha384).digest()
        return base64.b64encode(digest).decode()

    def _add(self, block: dict[str, Any]) -> None:
        document = orjson.dumps(without_cache_control(block), option=orjson.OPT_SORT_KEYS)
        self._hash.update(len(document).to_bytes(8, "big") + document)


def verify(body: CountBody) -> Prefix:
    """The prefix of the whole body; raises InvalidRequest for a thought that was not made here."""
    prefix = Prefix(body)
    for index, message in enumerate(body.messages):
        if message.role == "assistant":
            _verify_thoughts(prefix, index, message)
        prefix.add(message)
    return prefix


def _verify_thoughts(prefix: Prefix, index: int, message: Message) -> None:
    for number, block in enumerate(message.content):
        where = f"messages.{index}.content.{number}"
        if isinstance(block, RedactedThinkingBlock):
            raise InvalidRequest(f"{where}: Invalid `data` in `redacted_thinking` block")
        if isinstance(block, ThinkingBlock) and not _genuine(prefix, block):
            raise InvalidRequest(f"{where}: Invalid `signature` in `thinking` block")


def _genuine(prefix: Prefix, block: ThinkingBlock) -> bool:
    expected = prefix.sign(block.thinking)
    return hmac.compare_digest(expected.encode(), block.signature.encode())

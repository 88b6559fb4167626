"""The use cases: answer a request, count its tokens."""

from dataclasses import dataclass

from local.model import answer, catalogue, parse, prompt_cache, signatures
from local.model.agent import respond
from local.model.answer import Answer, Bounds
from local.model.conversation import conversation
from local.model.prompt_cache import PromptCache
from local.model.wire import MessagesBody


@dataclass(frozen=True, slots=True)
class Composer:
    """The model. What it says is a function of the request alone; only the cache remembers."""

    cache: PromptCache

    def read(self, raw: bytes, version: str) -> MessagesBody:
        """A body that keeps every rule, for a model that exists; raises ApiError."""
        body = parse.messages_body(raw, version)
        catalogue.check(body.model)
        return body

    def answer(self, body: MessagesBody) -> Answer:
        """The whole answer to `body`; raises ApiError."""
        prefix = signatures.verify(body)
        talk = conversation(body)
        bounds = Bounds(body.max_tokens, tuple(body.stop_sequences))
        usage = self.cache.use(body)
        return answer.compose(respond(talk), talk, prefix, bounds, body.model, usage)

    def count(self, raw: bytes) -> int:
        """Input tokens of a body; raises ApiError."""
        body = parse.count_body(raw)
        catalogue.check(body.model)
        return prompt_cache.count(body)

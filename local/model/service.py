"""The use cases: answer a request, count its tokens."""

from dataclasses import dataclass, replace

from local.model import answer, catalogue, faults, parse, prompt_cache, signatures
from local.model.agent import respond
from local.model.answer import Answer, Bounds
from local.model.conversation import conversation
from local.model.model import PAUSE, Reply, Text
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

    def answer(self, body: MessagesBody, fault: str = "") -> Answer:
        """The whole answer to `body`, wrong in the way that `fault` names; raises ApiError."""
        prefix = signatures.verify(body)
        talk = conversation(body)
        bounds = Bounds(body.max_tokens, tuple(body.stop_sequences))
        usage = self.cache.use(body)
        if fault in ("refusal", "pause_turn"):
            said = PAUSE if fault == "pause_turn" else "I cannot help with that."
            made = answer.compose(Reply((Text(said),)), talk, prefix, bounds, body.model, usage)
            return replace(made, stop_reason="refusal" if fault == "refusal" else "pause_turn")
        reply = respond(talk, broken_link=fault == "broken-link")
        made = answer.compose(reply, talk, prefix, bounds, body.model, usage)
        if fault == "invalid-json":
            return faults.spoil_json(made)
        if fault == "max_tokens":
            bounds = replace(bounds, max_tokens=max(1, made.output_tokens // 2))
            return answer.compose(reply, talk, prefix, bounds, body.model, usage)
        return made

    def count(self, raw: bytes) -> int:
        """Input tokens of a body; raises ApiError."""
        body = parse.count_body(raw)
        catalogue.check(body.model)
        return prompt_cache.count(body)

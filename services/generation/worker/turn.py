"""One attempt at one turn: the model's stream becomes events, files and, at its end, a message."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

from services.generation.agent.canvas import Canvas
from services.generation.agent.drafts import FileDraft
from services.generation.agent.tools import WRITE_FILE, parsed_input, read_call
from services.generation.language_model import (
    Block,
    BlockClosed,
    CallInput,
    CallOpened,
    LanguageModel,
    ModelError,
    ModelEvent,
    Said,
    Thought,
    TurnClosed,
    TurnOpened,
    TurnRequest,
)
from services.generation.model import TextDelta, Tokens, UsageReport
from services.generation.repository import TurnKey
from services.generation.worker.account import Account
from services.generation.worker.journal import Journal
from services.generation.worker.part import Reading
from services.generation.worker.writes import Writes


@dataclass(slots=True)
class Turn:
    """What the model answered."""

    content: list[Block] = field(default_factory=list)
    results: list[asyncio.Task[Block]] = field(default_factory=list)
    """What its calls answer, in their order."""
    stop_reason: str = ""
    tokens: Tokens = field(default_factory=Tokens)


class Attempt:
    """Follows the stream of one attempt."""

    def __init__(
        self,
        key: TurnKey,
        journal: Journal,
        writes: Writes,
        account: Account,
        reading: Reading = read_call,
    ) -> None:
        """``key`` names the attempt in the ledger and its writes; ``reading`` says what a call asks for."""
        self._reading = reading
        self._key = key
        self._journal = journal
        self._writes = writes
        self._account = account
        self._turn = Turn()
        self._drafts: dict[str, FileDraft] = {}
        self._canvases: dict[str, Canvas] = {}

    async def take(self, model: LanguageModel, request: TurnRequest, seconds: float) -> Turn:
        """The complete turn. Raises ``ModelError``, also where it takes longer than ``seconds``."""
        try:
            async with asyncio.timeout(seconds) as limit, aclosing(model.stream(request)) as stream:
                async for event in stream:
                    await self._follow(event)
                    if step := self._account.due(self._key.agent):
                        report, values = UsageReport(self._account.total), self._account.values
                        await self._journal.write(
                            report, agent=self._key.agent, also=step, **values
                        )
        except ModelError:
            await self._erase()
            raise
        except TimeoutError as exc:
            if not limit.expired():
                raise
            await self._erase()
            raise ModelError(
                "MODEL_UNAVAILABLE",
                "The model took too long.",
                retryable=True,
                begun=self._account.open(self._key.agent),
            ) from exc
        return self._turn

    async def _follow(self, event: ModelEvent) -> None:
        match event:
            case TurnOpened(tokens):
                step = self._account.begin(self._key, tokens)
                await self._journal.write(also=step, **self._account.values)
            case Said(text):
                self._account.heard(self._key.agent, len(text))
                if text:
                    await self._journal.add(TextDelta(text), self._key.agent)
            case Thought(length):
                self._account.heard(self._key.agent, length)
            case CallOpened(call_id, tool):
                if tool == WRITE_FILE:
                    self._drafts[call_id] = FileDraft()
            case CallInput(call_id, json):
                await self._draft(call_id, json)
            case BlockClosed(block, input_json):
                await self._close(block, input_json)
            case TurnClosed(stop_reason, tokens):
                self._turn.stop_reason, self._turn.tokens = stop_reason, tokens

    async def _draft(self, call_id: str, json: str) -> None:
        self._account.heard(self._key.agent, len(json))
        draft = self._drafts.get(call_id)
        delta = draft.feed(json) if draft else None
        if delta:
            canvas = self._canvases.setdefault(call_id, Canvas(delta.path))
            canvas.add(delta.text)
            self._writes.painting.show(canvas)
            await self._journal.add(delta, self._key.agent)

    async def _erase(self) -> None:
        """What was begun does not come."""
        canvases, self._canvases = self._canvases, {}
        for canvas in canvases.values():
            await self._writes.painting.finish(canvas)
            await self._writes.painting.discard(canvas.path)

    async def _close(self, block: Block, input_json: str | None) -> None:
        self._writes.check()
        if block.get("type") == "tool_use":
            given, valid = parsed_input(input_json or "")
            block["input"] = given
            tool = str(block["name"])
            call = self._reading(tool, given, valid)
            call_id, results = str(block["id"]), self._turn.results
            canvas = self._canvases.pop(call_id, None)
            results.append(
                self._writes.submit(
                    self._key, call_id, tool, call, index=len(results), canvas=canvas
                )
            )
        # The API refuses an empty text when it is given back.
        if block.get("type") != "text" or block.get("text"):
            self._turn.content.append(block)

"""GenerationService on the wire: convert, call, convert."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from kit.context import current_user
from protos.generation.v1 import generation_pb2 as pb
from protos.generation.v1 import generation_pb2_grpc
from services.generation import convert, convert_offers
from services.generation.service.budget import dollars
from services.generation.service.generations import Generations
from services.generation.service.models import Models
from services.generation.service.start import Start, StartRequest
from services.generation.service.usage import OwnUsages
from services.generation.service.watch import Watch

Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(generation_pb2_grpc.GenerationServiceServicer):
    """One method an RPC."""

    def __init__(
        self,
        start: Start,
        generations: Generations,
        watch: Watch,
        models: Models,
        usages: OwnUsages,
    ) -> None:
        """The use cases."""
        self._models = models
        self._usages = usages
        self._start = start
        self._generations = generations
        self._watch = watch

    async def StartGeneration(  # noqa: N802 - gRPC's name
        self, request: pb.StartGenerationRequest, _: Context
    ) -> pb.StartGenerationResponse:
        """Accepts a prompt."""
        asked = StartRequest(
            owner_id=current_user(),
            project_id=request.project_id,
            prompt=request.prompt,
            model=request.model,
            idempotency_key=request.idempotency_key,
            attachments=convert.attachments(request),
            max_cost_usd=dollars(request.max_cost_usd),
            mode=convert.mode(request.mode),
        )
        return convert.start_response(await self._start.start(asked))

    async def GetGeneration(  # noqa: N802 - gRPC's name
        self, request: pb.GetGenerationRequest, _: Context
    ) -> pb.Generation:
        """One generation."""
        return convert.generation(
            await self._generations.get(current_user(), request.generation_id)
        )

    async def ListGenerations(  # noqa: N802 - gRPC's name
        self, request: pb.ListGenerationsRequest, _: Context
    ) -> pb.ListGenerationsResponse:
        """A page of a project's generations."""
        found, token = await self._generations.page(
            current_user(), request.project_id, request.page_size, request.page_token
        )
        shown = [convert.generation(job) for job in found]
        return pb.ListGenerationsResponse(generations=shown, next_page_token=token)

    async def CancelGeneration(  # noqa: N802 - gRPC's name
        self, request: pb.CancelGenerationRequest, _: Context
    ) -> pb.Generation:
        """Asks a generation to stop."""
        return convert.generation(
            await self._generations.cancel(current_user(), request.generation_id)
        )

    async def ListModels(  # noqa: N802 - gRPC's name
        self, _request: pb.ListModelsRequest, _: Context
    ) -> pb.ListModelsResponse:
        """The models that may be asked for."""
        return convert_offers.models(await self._models.offered())

    async def GetGenerationUsage(  # noqa: N802 - gRPC's name
        self, _request: pb.GetGenerationUsageRequest, _: Context
    ) -> pb.GenerationUsage:
        """What the caller has used."""
        return convert_offers.own_usage(await self._usages.of(current_user()))

    async def WatchGeneration(  # noqa: N802 - gRPC's name
        self, request: pb.WatchGenerationRequest, context: Context
    ) -> AsyncIterator[pb.GenerationEvent]:
        """A generation's events."""
        owner_id = current_user()
        await self._generations.get(owner_id, request.generation_id)
        await context.send_initial_metadata(())
        events = self._watch.events(owner_id, request.generation_id, request.after_sequence)
        # Closed at once when the caller leaves, not when the garbage collector comes by.
        async with aclosing(events):
            async for event in events:
                yield convert.logged_event(event)

"""Models and usage as messages of ``protos/generation``."""

from __future__ import annotations

from collections.abc import Iterable

from protos.generation.v1 import generation_pb2 as pb
from services.generation.convert import timestamp, usage_message
from services.generation.prices import ModelPrice
from services.generation.service.budget import BudgetState
from services.generation.service.models import OfferedModel
from services.generation.service.usage import OwnUsage


def models(offered: Iterable[OfferedModel]) -> pb.ListModelsResponse:
    """The models as they go out."""
    return pb.ListModelsResponse(models=[_model(model) for model in offered])


def own_usage(found: OwnUsage) -> pb.GenerationUsage:
    """What a user has used."""
    return pb.GenerationUsage(
        running=found.running,
        max_running=found.max_running,
        queued=found.queued,
        max_queued=found.max_queued,
        today=_period(found.today),
        month=_period(found.month),
    )


def _model(offered: OfferedModel) -> pb.Model:
    info = offered.info
    message = pb.Model(
        model=info.name,
        display_name=info.display_name or info.name,
        max_input_tokens=info.max_input_tokens,
        max_output_tokens=info.max_output_tokens,
        default=offered.default,
    )
    if offered.price:
        message.price.CopyFrom(_price(offered.price))
    return message


def _price(price: ModelPrice) -> pb.ModelPrice:
    return pb.ModelPrice(
        input_usd=float(price.input),
        output_usd=float(price.output),
        cache_read_usd=float(price.cache_read),
        cache_write_usd=float(price.cache_write),
        long_prompt_tokens=price.long_prompt_tokens,
        long_prompt_factor=float(price.long_prompt_factor),
        as_of=price.as_of.isoformat(),
    )


def _period(state: BudgetState) -> pb.PeriodUsage:
    return pb.PeriodUsage(
        usage=usage_message(state.spent.usage),
        reserved_usd=float(state.reserved),
        limit_usd=float(state.limit),
        resets_at=timestamp(state.spent.resets_at),
    )

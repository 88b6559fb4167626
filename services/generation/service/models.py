"""The models that may be asked for: the vendor's list, remembered for a while, with prices."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from kit.errors import Invalid, Unavailable, Violation
from services.generation.language_model import ModelError, ModelInfo, ModelList
from services.generation.model import Tokens
from services.generation.prices import ModelPrice, PriceBook

_log = structlog.get_logger(__name__)
# A vendor that failed is left alone for so long: no start waits for it again and again.
_AGAIN_SECONDS = 30.0
_MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model with what it costs today."""

    info: ModelInfo
    price: ModelPrice | None
    """``None`` where it is not known."""
    default: bool


class Models:
    """What the vendor offers. One question at a time; between answers the last one counts, however old."""

    def __init__(
        self, vendor: ModelList, prices: PriceBook, *, default: str, seconds: float
    ) -> None:
        """An answer is believed for ``seconds``. ``default`` is the platform's own choice."""
        self._vendor = vendor
        self._prices = prices
        self._default = default
        self._seconds = seconds
        self._known: Sequence[ModelInfo] | None = None
        self._answered = False
        self._ask_at = 0.0
        self._looked_up: OrderedDict[str, tuple[float, ModelInfo | None]] = OrderedDict()
        self._asking = asyncio.Lock()

    @property
    def default(self) -> str:
        """The model that answers where nobody names one."""
        return self._default

    async def offered(self) -> list[OfferedModel]:
        """All of them, the default first. Raises ``Unavailable`` where the vendor never answered."""
        known = await self._list()
        if not self._answered:
            raise _silent()
        if known is None:
            return [self._offered(ModelInfo(self._default))]
        offered = [self._offered(info) for info in known]
        if not any(model.default for model in offered):
            # The list has dated names; the platform's choice may be an alias of one.
            offered += await self._alias(self._default)
        return sorted(offered, key=lambda model: not model.default)

    async def chosen(self, name: str) -> str:
        """By which name it is asked for: an alias without a price by what it stands for, so that its cost is known.

        Raises ``Invalid`` where the vendor says that it has no such model (without its word every name passes), and
        with MODEL_UNPRICED where nothing says what it costs.
        """
        await self._check(name)
        if self._counted(name):
            return name
        with suppress(Unavailable):
            found = await self._look_up(name)
            if found and self._counted(found.name):
                return found.name
        raise _unpriced(name)

    async def _check(self, name: str) -> None:
        if name == self._default:
            return
        known = await self._list()
        if known is None or any(info.name == name for info in known):
            return
        try:
            found = await self._look_up(name)
        except Unavailable:
            return
        if found is None:
            raise Invalid.field("model", f"there is no model {name!r}; GET /api/models lists them")

    async def max_tokens(self, name: str, most: int) -> int:
        """Tokens that a turn of this model may write: ``most``, or fewer where the vendor says so."""
        known = await self._list() or ()
        found = next((info for info in known if info.name == name), None)
        # Without a list the vendor is not asked for one of it either.
        if found is None and known:
            with suppress(Unavailable):
                found = await self._look_up(name)
        own = found.max_output_tokens if found else 0
        return min(most, own) if own > 0 else most

    def billed(self, name: str) -> bool:
        """Whether its work costs something, as far as that is known."""
        one = Tokens(read=1, written=1)
        return bool(self._prices.on(datetime.now(UTC).date()).cost(name, one))

    def _counted(self, name: str) -> bool:
        """Whether something says what it costs."""
        return self._prices.on(datetime.now(UTC).date()).cost(name, Tokens()) is not None

    async def _alias(self, name: str) -> list[OfferedModel]:
        try:
            found = await self._look_up(name)
        except Unavailable:
            return []
        return [self._offered(replace(found, name=name))] if found else []

    def _offered(self, info: ModelInfo) -> OfferedModel:
        prices = self._prices.on(datetime.now(UTC).date())
        return OfferedModel(info, prices.shown(info.name), info.name == self._default)

    async def _list(self) -> Sequence[ModelInfo] | None:
        async with self._asking:
            if time.monotonic() >= self._ask_at:
                try:
                    self._known = await self._vendor.models()
                    self._answered = True
                    self._ask_at = time.monotonic() + self._seconds
                except ModelError as exc:
                    _log.warning("models not listed", reason=exc.reason)
                    self._ask_at = time.monotonic() + min(_AGAIN_SECONDS, self._seconds)
        return self._known

    async def _look_up(self, name: str) -> ModelInfo | None:
        """One by its name, which may be an alias. Raises ``Unavailable`` where the vendor does not answer."""
        until, found = self._looked_up.get(name, (0.0, None))
        if time.monotonic() < until:
            return found
        try:
            found = await self._vendor.model(name)
        except ModelError as exc:
            raise _silent() from exc
        self._looked_up[name] = time.monotonic() + self._seconds, found
        if len(self._looked_up) > _MOST_NAMES:
            self._looked_up.popitem(last=False)
        return found


def _unpriced(name: str) -> Invalid:
    message = (
        f"the price of {name!r} is not known, so no cost limit would hold; whoever runs the platform can add it to "
        "services/generation/prices.toml, or set GENERATION_UNPRICED_MODELS to free or to a rate such as 3/15"
    )
    return Invalid(
        f"model: {message}",
        reason="MODEL_UNPRICED",
        violations=(Violation("model", message),),
    )


def _silent() -> Unavailable:
    return Unavailable(
        "the model's vendor does not answer",
        reason="MODELS_UNAVAILABLE",
        retry_after=_AGAIN_SECONDS,
    )

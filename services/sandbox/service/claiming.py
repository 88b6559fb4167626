"""Who makes or wakes a project's sandbox: one of all who ask at the same time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from kit.db import Database
from kit.errors import NotFound, Unavailable
from kit.ids import new_id
from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import CloseReason, Sandbox, Size, Status
from services.sandbox.repository import Repository, of_owner
from services.sandbox.service.allowance import Allowance
from services.sandbox.service.creation import CreationLimits

_log = structlog.get_logger(__name__)
# A sandbox that is woken with less of its life left gets a new one.
_SHORTEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for."""

    project_id: str
    owner_id: str
    generation_id: str = ""
    """The generation that a new sandbox is made for."""
    make: bool = True
    """Whether one is made where none is open."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A project's open sandbox, and whether who asked is the one to make or wake it."""

    sandbox: Sandbox
    mine: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """What asking did, beside the claim: what of the user's had expired."""

    claim: Claim
    closed: list[Sandbox]
    parked: list[Sandbox]


class Leaving(Exception):
    """These of the user's sandboxes have expired: what was done inside is to be taken over before they go."""

    def __init__(self, sandboxes: list[Sandbox]) -> None:
        """Nothing was changed."""
        super().__init__(len(sandboxes))
        self.sandboxes = sandboxes


class Claiming:
    """Reserves places."""

    def __init__(
        self, database: Database, limits: CreationLimits, allowance: Allowance, size: Size
    ) -> None:
        """``size``: what the ledger notes of each sandbox."""
        self._database = database
        self._limits = limits
        self._allowance = allowance
        self._size = size

    async def claim(
        self, wish: Wish, waited_for: Sandbox | None, left: Collection[str] = ()
    ) -> Claimed:
        """The project's sandbox, or the right to make it.

        ``left``: ids of sandboxes that may go. Raises ``Leaving`` where others have to.
        Raises ``QuotaExceeded`` (SANDBOX_QUOTA, SANDBOX_SECONDS), ``NotFound``, and ``Unavailable`` where who made the
        one that was ``waited_for`` has failed.
        """
        async with self._database.begin() as connection:
            repository, life = Repository(connection), LifeRepository(connection)
            await repository.lock_owner(wish.owner_id)
            theirs = of_owner(wish.owner_id)
            closed = await repository.close_expired(theirs)
            parked = await life.park_expired(theirs)
            # Raised, it undoes what this transaction has done.
            if leaving := [one for one in (*closed, *parked) if one.sandbox_id not in left]:
                raise Leaving(leaving)
            found = await repository.opened(wish.project_id, wish.owner_id)
            if found is None:
                claim = Claim(await self._new(repository, wish, waited_for), mine=True)
            elif found.status is Status.CREATING:
                claim = await self._in_its_place(repository, found)
            elif found.status is Status.PAUSED:
                claim = Claim(await self._woken(life, found, waited_for), mine=True)
            else:
                claim = Claim(found, mine=False)
        ours = claim.sandbox.sandbox_id
        return Claimed(claim, closed, [one for one in parked if one.sandbox_id != ours])

    async def _new(self, repository: Repository, wish: Wish, waited_for: Sandbox | None) -> Sandbox:
        if not wish.make:
            raise no_sandbox()
        if waited_for is not None:
            found = (await repository.by_ids([waited_for.sandbox_id])).get(waited_for.sandbox_id)
            if found is not None and found.close_reason is CloseReason.FAILED:
                raise _failed()
        connection = repository.connection
        await self._allowance.check_place(connection, wish.owner_id)
        seconds = await self._allowance.lifetime(
            connection, wish.owner_id, self._limits.lifetime_seconds
        )
        row = {
            "sandbox_id": new_id("sbx"),
            "project_id": wish.project_id,
            "owner_id": wish.owner_id,
            "generation_id": wish.generation_id,
        }
        made = await repository.insert(row, seconds, self._limits.attempt_seconds)
        await LedgerRepository(connection).begin(made, self._size)
        return made

    async def _in_its_place(self, repository: Repository, found: Sandbox) -> Claim:
        taken = await repository.take_over(found.sandbox_id, self._limits.attempt_seconds)
        if taken is None:
            return Claim(found, mine=False)
        _log.warning("sandbox taken over", sandbox=taken.sandbox_id, attempt=taken.attempt)
        return Claim(taken, mine=True)

    async def _woken(
        self, life: LifeRepository, found: Sandbox, waited_for: Sandbox | None
    ) -> Sandbox:
        if waited_for is not None and waited_for.attempt == found.attempt:
            # All who waited are told so, instead of trying one after another.
            raise _failed()
        await self._allowance.check_place(life.connection, found.owner_id)
        rest = found.rest_seconds
        wanted = rest if rest >= _SHORTEST_REST else self._limits.lifetime_seconds
        seconds = await self._allowance.lifetime(life.connection, found.owner_id, wanted)
        return await life.wake(found, seconds, self._limits.attempt_seconds, self._size)


def no_sandbox() -> NotFound:
    """The error where a project has no sandbox to be used."""
    return NotFound("the project has no open sandbox", reason="SANDBOX_NOT_FOUND")


def _failed() -> Unavailable:
    return Unavailable("the sandbox could not be made", reason="SANDBOX_FAILED", retry_after=2.0)

"""Passwords: what is stored, what is compared, and that an unknown user costs the same work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from kit.errors import Unavailable
from services.projects.service.passwords import Passwords
from services.projects.settings import ProjectsSettings


def _passwords(**changed: int) -> Passwords:
    values = {"memory_kib": 64, "time_cost": 1, "lanes": 1, "threads": 1, "queue": 8}
    return Passwords(**{**values, **changed})


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = _passwords()
    yield made
    made.close()


async def test_a_password_matches_its_own_hash_alone(passwords: Passwords) -> None:
    stored = await passwords.hash("right password")
    assert stored.startswith("$argon2id$")
    assert await passwords.matches(stored, "right password")
    assert not await passwords.matches(stored, "wrong password")
    assert stored != await passwords.hash("right password")


async def test_nobody_and_a_damaged_hash_match_nothing(passwords: Passwords) -> None:
    # Even the password behind the hash that stands in for nobody's.
    assert not await passwords.matches(None, "nobody has this password")
    assert not await passwords.matches("$argon2id$damaged", "right password")


async def test_an_unknown_user_costs_the_same_work(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await passwords.hash("right password")
    worked_on: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - its own name
        worked_on.append(str(hash).rsplit("$", 2)[0])
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    assert not await passwords.matches(stored, "wrong password")
    assert not await passwords.matches(None, "wrong password")
    known, unknown = worked_on
    assert known == unknown == "$argon2id$v=19$m=64,t=1,p=1"


async def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    costlier = _passwords(time_cost=2)
    stored = await passwords.hash("right password")
    assert costlier.outdated(stored)
    assert not passwords.outdated(stored)
    assert await costlier.matches(stored, "right password")
    costlier.close()


async def test_what_waits_is_bounded_and_room_comes_back() -> None:
    passwords = _passwords(queue=2)
    ends = await asyncio.gather(
        *(passwords.hash("right password") for _ in range(10)), return_exceptions=True
    )
    refused = [end for end in ends if isinstance(end, Unavailable)]
    assert len(refused) == 7
    assert {(error.reason, error.retry_after) for error in refused} == {("SIGN_IN_BUSY", 1.0)}
    assert await passwords.hash("right password")
    passwords.close()


def test_the_default_cost_is_what_rfc_9106_recommends() -> None:
    fields = ProjectsSettings.model_fields
    assert fields["password_memory_kib"].default == 64 * 1024
    assert fields["password_time_cost"].default == 3
    assert fields["password_lanes"].default == 4

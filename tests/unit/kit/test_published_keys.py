"""The users' keys while the projects service is there, and while it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from kit.auth import published
from kit.auth.keys import SigningKey
from kit.auth.published import PublishedKeys
from kit.errors import Unavailable
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc

KEY = SigningKey.generate("key-1")


class Accounts(accounts_pb2_grpc.AccountsServiceServicer):
    """Publishes one key, or is away."""

    def __init__(self) -> None:
        self.calls = 0
        self.away = False

    async def GetSigningKeys(self, request: Any, context: Any) -> accounts_pb2.JsonWebKeySet:
        self.calls += 1
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        jwk = KEY.public_jwk()
        shown = accounts_pb2.JsonWebKey(kty=jwk["kty"], crv=jwk["crv"], x=jwk["x"], kid=jwk["kid"])
        return accounts_pb2.JsonWebKeySet(keys=[shown])


@asynccontextmanager
async def _keys() -> AsyncIterator[tuple[Accounts, PublishedKeys]]:
    accounts = Accounts()  # type: ignore[abstract]  # answers what the tests call, no more
    server = grpc.aio.server()
    accounts_pb2_grpc.add_AccountsServiceServicer_to_server(accounts, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield accounts, PublishedKeys(channel)
    await server.stop(None)


async def test_a_known_key_is_not_asked_for_again_and_an_unknown_one_is_not_asked_for_each_time() -> (
    None
):
    async with _keys() as (accounts, keys):
        assert [await keys.key("key-1") is not None for _ in range(3)] == [True] * 3
        assert [await keys.key("key-2") for _ in range(3)] == [None] * 3
        assert accounts.calls == 1


async def test_while_projects_is_away_a_known_key_stays_good_and_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with _keys() as (accounts, keys):
        assert await keys.key("key-1")
        monkeypatch.setattr(published, "REFRESH_SECONDS", 0.0)
        accounts.away = True
        assert await keys.key("key-1")
        assert await keys.key("key-1")
        assert accounts.calls == 2


async def test_without_any_key_a_missing_projects_service_is_told() -> None:
    async with _keys() as (accounts, keys):
        accounts.away = True
        with pytest.raises(Unavailable):
            await keys.key("key-1")

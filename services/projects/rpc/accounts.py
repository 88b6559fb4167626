"""AccountsService."""

# gRPC gives the handlers their names, and each the request and the context.
# ruff: noqa: ARG002, N802

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from kit.auth.keys import SigningKey
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc
from services.projects import convert
from services.projects.rpc.caller import owner
from services.projects.service.accounts import Accounts

Context = grpc.aio.ServicerContext[Any, Any]


class AccountsServicer(accounts_pb2_grpc.AccountsServiceServicer):
    """Handlers: what each does is said in the proto."""

    def __init__(self, accounts: Accounts, keys: Sequence[SigningKey]) -> None:
        """``keys`` are those that are published, the signing one first."""
        self._accounts = accounts
        self._keys = keys

    async def Register(
        self, request: accounts_pb2.RegisterRequest, context: Context
    ) -> accounts_pb2.SessionResponse:
        return convert.session(
            await self._accounts.register(request.email, request.password, request.display_name)
        )

    async def Login(
        self, request: accounts_pb2.LoginRequest, context: Context
    ) -> accounts_pb2.SessionResponse:
        return convert.session(await self._accounts.login(request.email, request.password))

    async def Refresh(
        self, request: accounts_pb2.RefreshRequest, context: Context
    ) -> accounts_pb2.SessionResponse:
        return convert.session(await self._accounts.refresh(request.refresh_token))

    async def Logout(self, request: accounts_pb2.LogoutRequest, context: Context) -> Empty:
        await self._accounts.logout(request.refresh_token)
        return Empty()

    async def GetMe(
        self, request: accounts_pb2.GetMeRequest, context: Context
    ) -> accounts_pb2.User:
        return convert.user(await self._accounts.me(owner()))

    async def GetSigningKeys(
        self, request: accounts_pb2.GetSigningKeysRequest, context: Context
    ) -> accounts_pb2.JsonWebKeySet:
        return convert.key_set(self._keys)

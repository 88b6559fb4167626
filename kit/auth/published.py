"""The users' public keys as the projects service publishes them, remembered while they are known."""

from __future__ import annotations

import asyncio
import time

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.auth.keys import public_keys
from kit.status import peer_errors
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc

REFRESH_SECONDS = 300.0
# A token with an invented key id must not turn each call into one to projects.
UNKNOWN_SECONDS = 5.0


class PublishedKeys:
    """Reads GetSigningKeys when an unknown key id comes, and now and then, so that a withdrawn key is forgotten."""

    def __init__(self, projects: grpc.aio.Channel) -> None:
        """``projects`` is a channel to the projects service."""
        self._stub = accounts_pb2_grpc.AccountsServiceStub(projects)
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._read_at = -REFRESH_SECONDS
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, ``None`` where projects does not publish it. Raises ``Unavailable``."""
        if self._stale(kid):
            async with self._lock:
                if self._stale(kid):
                    await self._read()
        return self._keys.get(kid)

    def _stale(self, kid: str) -> bool:
        limit = REFRESH_SECONDS if kid in self._keys else UNKNOWN_SECONDS
        return time.monotonic() - self._read_at > limit

    async def _read(self) -> None:
        with peer_errors():
            found = await self._stub.GetSigningKeys(accounts_pb2.GetSigningKeysRequest())
        self._keys = public_keys(
            [{"kty": k.kty, "crv": k.crv, "x": k.x, "kid": k.kid} for k in found.keys]
        )
        self._read_at = time.monotonic()

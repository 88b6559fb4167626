"""The users' public keys as the projects service publishes them, remembered while they are known."""

from __future__ import annotations

import asyncio
import time

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.auth.keys import public_keys
from kit.errors import DeadlineExceeded, Unavailable
from kit.status import peer_errors
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc

REFRESH_SECONDS = 300.0
# A token with an invented key id must not turn each call into one to projects.
UNKNOWN_SECONDS = 5.0
# A key that was withdrawn while projects was away is good for no longer than this.
LONGEST_SECONDS = 3600.0


class PublishedKeys:
    """Reads GetSigningKeys when an unknown key id comes, and now and then, so that a withdrawn key is forgotten.

    While projects does not answer, the keys that are known stay good for up to an hour.
    """

    def __init__(self, projects: grpc.aio.Channel) -> None:
        """``projects`` is a channel to the projects service."""
        self._stub = accounts_pb2_grpc.AccountsServiceStub(projects)
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._read_at = self._tried_at = -LONGEST_SECONDS
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, ``None`` where projects does not publish it. Raises ``Unavailable``."""
        if self._stale(kid):
            async with self._lock:
                if self._stale(kid):
                    await self._read(kid)
        return self._keys.get(kid)

    def _stale(self, kid: str) -> bool:
        now = time.monotonic()
        limit = REFRESH_SECONDS if kid in self._keys else UNKNOWN_SECONDS
        # One try in a while is enough for all who wait, whether it went well or not.
        tried = kid in self._keys and now - self._tried_at < UNKNOWN_SECONDS
        return now - self._read_at > limit and not (tried and self._lasting())

    def _lasting(self) -> bool:
        return time.monotonic() - self._read_at < LONGEST_SECONDS

    async def _read(self, kid: str) -> None:
        try:
            with peer_errors():
                found = await self._stub.GetSigningKeys(accounts_pb2.GetSigningKeysRequest())
        except (Unavailable, DeadlineExceeded):
            self._tried_at = time.monotonic()
            if kid in self._keys and self._lasting():
                return
            raise
        self._keys = public_keys(
            [{"kty": k.kty, "crv": k.crv, "x": k.x, "kid": k.kid} for k in found.keys]
        )
        self._read_at = time.monotonic()

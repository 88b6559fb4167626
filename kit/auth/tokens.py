"""Access tokens of users and internal tokens of services: EdDSA JSON Web Tokens (RFC 7519, RFC 9068).

The two are told apart by the ``typ`` in their header and verified with different key sets: neither passes for the
other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.auth.keys import SigningKey
from kit.context import Principal
from kit.errors import Unauthenticated

USER_TYPE = "at+jwt"
SERVICE_TYPE = "svc+jwt"
USER_AUDIENCE = "sandwright"
USER_ISSUER = "sandwright/projects"
SERVICE_SECONDS = 60
# Machines' clocks differ a little.
LEEWAY_SECONDS = 5


class UserKeys(Protocol):
    """Where the public keys of user tokens come from."""

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, ``None`` where there is none."""


def issue_user_token(key: SigningKey, user_id: str, session_id: str, seconds: int) -> str:
    """An access token of a user. Only the projects service has a key for it."""
    now = int(time.time())
    claims = {
        "iss": USER_ISSUER,
        "aud": USER_AUDIENCE,
        "sub": user_id,
        "sid": session_id,
        "iat": now,
        "exp": now + seconds,
    }
    return _signed(key, claims, USER_TYPE)


class ServiceIdentity:
    """A service's name and its right to sign internal tokens."""

    def __init__(self, key: SigningKey) -> None:
        """The key's id is the service's name."""
        self.name = key.kid
        self._key = key
        self._made: dict[tuple[str, str], tuple[float, str]] = {}

    def token(self, audience: str, user_id: str) -> str:
        """An internal token for a peer, on behalf of a user or (empty) of none. Used again while it is fresh."""
        now = time.time()
        until, token = self._made.get((audience, user_id), (0.0, ""))
        if until > now:
            return token
        if len(self._made) > 10_000:
            self._made.clear()
        issued = int(now)
        claims = {"iss": self.name, "aud": audience, "iat": issued, "exp": issued + SERVICE_SECONDS}
        if user_id:
            claims["sub"] = user_id
        token = _signed(self._key, claims, SERVICE_TYPE)
        self._made[audience, user_id] = (now + SERVICE_SECONDS / 2, token)
        return token


@dataclass(frozen=True, slots=True)
class Verifier:
    """Tells who calls a service by the token of the call."""

    audience: str
    """The name of the service that is called."""
    service_keys: Mapping[str, Ed25519PublicKey]
    """Public keys of the services by their names."""
    user_keys: UserKeys

    async def principal(self, token: str) -> Principal:
        """Who holds this token. Raises ``Unauthenticated``, which never says more than that the token isn't good."""
        try:
            header = jwt.get_unverified_header(token)
            kid, kind = str(header.get("kid", "")), header.get("typ")
            if kind == SERVICE_TYPE:
                return self._service(token, kid)
            if kind == USER_TYPE:
                return await self._user(token, kid)
        except jwt.ExpiredSignatureError as exc:
            raise Unauthenticated("the token has expired", reason="TOKEN_EXPIRED") from exc
        except jwt.InvalidTokenError as exc:
            raise Unauthenticated("the token is not valid", reason="BAD_TOKEN") from exc
        raise Unauthenticated("the token is not valid", reason="BAD_TOKEN")

    def _service(self, token: str, kid: str) -> Principal:
        key = self.service_keys.get(kid)
        if key is None:
            raise jwt.InvalidTokenError
        claims = _claims(token, key, self.audience, kid, ("exp", "iat", "iss", "aud"))
        return Principal(user_id=str(claims.get("sub", "")), service=kid)

    async def _user(self, token: str, kid: str) -> Principal:
        key = await self.user_keys.key(kid)
        if key is None:
            raise jwt.InvalidTokenError
        required = ("exp", "iat", "iss", "aud", "sub")
        claims = _claims(token, key, USER_AUDIENCE, USER_ISSUER, required)
        return Principal(user_id=str(claims["sub"]), token=token)


def _signed(key: SigningKey, claims: dict[str, Any], kind: str) -> str:
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": kind})


def _claims(
    token: str, key: Ed25519PublicKey, audience: str, issuer: str, required: tuple[str, ...]
) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience=audience,
        issuer=issuer,
        leeway=LEEWAY_SECONDS,
        options={"require": list(required), "strict_aud": True},
    )
    return claims

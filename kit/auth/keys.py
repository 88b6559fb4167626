"""Ed25519 keys as JSON Web Keys (RFC 7517, RFC 8037), in files and in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from jwt.algorithms import OKPAlgorithm
from jwt.exceptions import InvalidKeyError

Jwk = dict[str, Any]
"""A JSON Web Key as parsed JSON."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its id."""

    kid: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, kid: str) -> SigningKey:
        """A new key."""
        return cls(kid, Ed25519PrivateKey.generate())

    @classmethod
    def from_jwk(cls, jwk: Jwk) -> SigningKey:
        """The key of a JSON Web Key. Raises ``ValueError`` where it isn't a private Ed25519 key."""
        key = _parsed(jwk)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("not a private Ed25519 key")
        return cls(str(jwk["kid"]), key)

    def private_jwk(self) -> Jwk:
        """The key with its private half: for a key file, nowhere else."""
        return {**OKPAlgorithm.to_jwk(self.private, as_dict=True), "kid": self.kid}

    def public_jwk(self) -> Jwk:
        """The public half, as a key set shows it."""
        shown = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**shown, "kid": self.kid, "alg": "EdDSA", "use": "sig"}


def public_keys(keys: list[Jwk]) -> dict[str, Ed25519PublicKey]:
    """The keys of a key set by their ids; what isn't a public Ed25519 key is left out."""
    found: dict[str, Ed25519PublicKey] = {}
    for jwk in keys:
        try:
            key = _parsed(jwk)
        except ValueError:
            continue
        if isinstance(key, Ed25519PublicKey) and jwk.get("kid"):
            found[str(jwk["kid"])] = key
    return found


def read_signing_keys(path: Path) -> list[SigningKey]:
    """The private keys of a file: one JSON Web Key, or a set with the one that signs first.

    Raises ``ValueError`` naming the file, never its content.
    """
    found = _read(path)
    try:
        return [SigningKey.from_jwk(jwk) for jwk in found]
    except (ValueError, KeyError) as exc:
        raise ValueError(f"{path} holds no private Ed25519 key") from exc


def read_public_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys of a key-set file. Raises ``ValueError`` naming the file."""
    return public_keys(_read(path))


def _read(path: Path) -> list[Jwk]:
    try:
        parsed = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as exc:
        raise ValueError(f"{path} can't be read as JSON") from exc
    keys: list[Jwk] = parsed.get("keys", [parsed])
    return keys


def _parsed(jwk: Jwk) -> object:
    try:
        return OKPAlgorithm.from_jwk(jwk)
    except InvalidKeyError as exc:
        raise ValueError("not an Ed25519 key") from exc

"""Makes the key files that a deployment needs: ``python -m kit.auth.keygen FOLDER``.

``{service}.jwk`` signs a service's internal tokens, ``services.jwks`` holds the public halves of all of them, and
``users.jwks`` (private: for the projects service alone) signs the users' access tokens. What is there is kept.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import orjson

from kit.auth.keys import SigningKey, read_signing_keys
from kit.ids import new_id

SERVICES = ("projects", "sandbox", "generation", "gateway")


def ensure_keys(folder: Path) -> None:
    """Makes the files that are missing, readable by their owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    users = folder / "users.jwks"
    if not users.exists():
        _write(users, {"keys": [SigningKey.generate(new_id("key")).private_jwk()]})
    public = []
    for service in SERVICES:
        path = folder / f"{service}.jwk"
        if not path.exists():
            _write(path, SigningKey.generate(service).private_jwk())
        public += [key.public_jwk() for key in read_signing_keys(path)]
    _write(folder / "services.jwks", {"keys": public})


def _write(path: Path, content: object) -> None:
    # Written aside and moved into place: a crash leaves the old file or the new one, never half of one.
    aside = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    ensure_keys(parser.parse_args().folder)

"""What every server of ours reads from the environment. A service's own class adds to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class DeadlineSettings(BaseSettings):
    """How long a caller waits by default, in seconds."""

    model_config = SettingsConfigDict(env_prefix="DEADLINE_", extra="ignore")

    read_seconds: float = Field(5, gt=0)
    write_seconds: float = Field(15, gt=0)
    create_sandbox_seconds: float = Field(75, gt=0)


class LogSettings(BaseSettings):
    """LOG_FORMAT and LOG_LEVEL."""

    model_config = SettingsConfigDict(env_prefix="LOG_", extra="ignore")

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ServerSettings(BaseSettings):
    """What a gRPC server of ours reads. Each service gives its own prefix, such as ``PROJECTS_``."""

    model_config = SettingsConfigDict(extra="ignore")

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port to listen on; 0 takes a free one."""
    reflection: bool = True
    """Whether grpcurl can ask what there is."""
    drain_seconds: float = Field(10, ge=0)
    """How long calls under way may go on after SIGTERM."""
    max_message_bytes: int = Field(8 * MIB, ge=MIB)
    """Largest gRPC message in either direction."""
    service_key_file: Path
    """The private key (a JSON Web Key) that signs this service's internal tokens."""
    service_keys_file: Path = Field(
        validation_alias=AliasChoices("SERVICE_KEYS_FILE", "service_keys_file")
    )
    """The public keys of all services (a JSON Web Key Set)."""
    database_url: str
    """``postgresql+asyncpg://role:password@host/database`` with this service's own role."""
    database_pool_size: int = Field(10, ge=1)
    """Connections to Postgres, besides one that listens."""
    migrate: bool = True
    """Whether to bring the schema up to date at start."""


S = TypeVar("S", bound=BaseSettings)


def read(kind: type[S]) -> S:
    """The settings from the environment. A bad one ends the process with exit code 2 and one clear line each."""
    try:
        return kind()
    except ValidationError as exc:
        prefix = str(kind.model_config.get("env_prefix", ""))
        for problem in exc.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"])
            variable = name.upper() if name.isupper() else f"{prefix}{name}".upper()
            print(f"setting {variable}: {problem['msg']}", file=sys.stderr)
        raise SystemExit(2) from exc

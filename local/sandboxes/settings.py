"""Every variable that the engine reads; each is ``LOCAL_SANDBOXES_`` and the name here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Defaults suit one developer's machine. Times are seconds, MB are 2**20 bytes."""

    model_config = SettingsConfigDict(env_prefix="LOCAL_SANDBOXES_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=3000, ge=0, le=65535, description="Port to listen on; 0 picks one.")
    domain: str = Field(
        default="",
        description="What follows `{port}-{id}.` in a sandbox's host names; `localhost:PORT` if empty.",
    )
    data_dir: Path = Field(
        default=Path(".sandwright/sandboxes"), description="State and the engine's lock."
    )
    api_key: str = Field(default="", description="The only key accepted; empty accepts any key.")

    memory_mb: int = Field(default=512, ge=64, description="Memory of one sandbox.")
    disk_mb: int = Field(
        default=256, ge=16, description="Disk of one sandbox, beside 64 MB of shared memory."
    )
    pids: int = Field(default=256, ge=16, description="Processes and threads of one sandbox.")
    cpus: float = Field(default=1.0, gt=0, description="CPU cores of one sandbox.")
    max_sandboxes: int = Field(default=200, ge=1, description="Sandboxes at once, paused included.")
    max_snapshots: int = Field(default=100, ge=0, description="Snapshots kept on disk.")
    templates_dir: Path | None = Field(
        default=None, description="Folder of templates; without it there is `base` alone."
    )
    pool_size: int = Field(
        default=2, ge=0, description="Sandboxes of each template kept warm for the next create."
    )

    default_timeout: int = Field(
        default=300, ge=1, description="Life of a sandbox that names none."
    )
    legacy_default_timeout: int = Field(default=15, ge=1, description="The same on the v1 routes.")
    max_timeout: int = Field(
        default=86_400, ge=1, description="Longest life that can be asked for."
    )
    boot_timeout: float = Field(default=20.0, gt=0, description="Longest wait for a jail to start.")
    keep_seconds: float = Field(
        default=5.0,
        ge=0,
        description="How long a stop may take to put sandboxes to disk; 0 ends them all.",
    )
    port_wait: float = Field(
        default=1.0, ge=0, description="How long a preview waits for a server that is starting."
    )

    bwrap: str = Field(default="bwrap", description="Path or name of bubblewrap.")
    python: str = Field(default="", description="System Python of the jails; found if empty.")

    log_format: Literal["console", "json"] = Field(
        default="console",
        validation_alias=AliasChoices("LOCAL_SANDBOXES_LOG_FORMAT", "LOG_FORMAT"),
        description="Log lines; also read from LOG_FORMAT.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias=AliasChoices("LOCAL_SANDBOXES_LOG_LEVEL", "LOG_LEVEL"),
        description="debug, info, warning or error; also read from LOG_LEVEL.",
    )

    def public_domain(self, port: int) -> str:
        """The domain of host names when the engine listens on ``port``."""
        return self.domain or f"localhost:{port}"

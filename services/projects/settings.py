"""Every variable that the projects service reads, each with the prefix ``PROJECTS_``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import MIB, ServerSettings


class ProjectsSettings(ServerSettings):
    """The defaults are the platform's."""

    model_config = SettingsConfigDict(env_prefix="PROJECTS_", extra="ignore")

    port: Annotated[int, Field(ge=0, le=65535)] = 50051

    signing_keys_file: Path
    """Private keys (a JSON Web Key Set) that sign access tokens. The first signs, all are published."""
    access_token_seconds: int = Field(900, gt=0)
    refresh_token_seconds: int = Field(30 * 86_400, gt=0)
    """Each refresh token lasts so long from its own making."""

    # RFC 9106, section 4, second recommended option, for servers that can't give 2 GiB to one sign-in.
    password_memory_kib: int = Field(65_536, ge=8)
    password_time_cost: int = Field(3, ge=1)
    password_lanes: int = Field(4, ge=1)
    password_threads: int = Field(2, ge=1)
    """Passwords that are worked on at once; each takes ``password_memory_kib``."""
    password_queue: int = Field(64, ge=1)
    """Passwords that may wait for their turn; beyond it a sign-in is UNAVAILABLE."""

    max_projects: int = Field(1_000, ge=1)
    """Projects of one user."""
    max_file_bytes: int = Field(10 * MIB, ge=1)
    max_project_files: int = Field(2_000, ge=1)
    max_project_bytes: int = Field(200 * MIB, ge=1, le=2**31 - 1)
    """Bytes of one project's files, and of one write. They are counted in 32 bits on the wire."""
    max_write_steps: int = Field(10_000, ge=1)
    """Steps (puts, deletes, renames) of one write."""
    operation_memory_seconds: int = Field(86_400, gt=0)
    """How long a write can be repeated by its operation id."""

    change_poll_seconds: float = Field(1.0, gt=0)
    """How often a follower's stream looks for changes by itself, should a wake-up be lost."""

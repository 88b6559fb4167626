"""What the supervisor reads: ``.env`` and the environment, which wins. Each service reads its own part again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

from dotenv import dotenv_values
from pydantic import BaseModel, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parents[2]


class StackSettings(BaseModel):
    """Which ports to use, where the data lies, and which parts are real. No key means: the stand-in."""

    sandwright_data_dir: Path = ROOT / ".sandwright"
    gateway_port: int = Field(8080, ge=1, le=65535)
    projects_port: int = Field(50051, ge=1, le=65535)
    sandbox_port: int = Field(50052, ge=1, le=65535)
    generation_port: int = Field(50053, ge=1, le=65535)
    local_sandboxes_port: int = Field(3000, ge=1, le=65535)
    local_model_port: int = Field(3001, ge=1, le=65535)
    log_format: str = "console"

    e2b_api_key: str = ""
    e2b_api_url: str = ""
    anthropic_api_key: str = ""
    anthropic_base_url: str = ""
    admin_database_url: str = ""
    projects_database_url: str = ""
    sandbox_database_url: str = ""
    generation_database_url: str = ""

    @model_validator(mode="after")
    def _all_urls_or_none(self) -> Self:
        urls = {
            "PROJECTS_DATABASE_URL": self.projects_database_url,
            "SANDBOX_DATABASE_URL": self.sandbox_database_url,
            "GENERATION_DATABASE_URL": self.generation_database_url,
        }
        named = {**urls, "ADMIN_DATABASE_URL": self.admin_database_url}
        missing = [name for name, url in urls.items() if not url]
        if any(named.values()) and missing:
            raise ValueError(
                f"{missing[0]} is missing: a database of your own needs all three URLs"
            )
        for name, url in named.items():
            if url and not url.startswith("postgresql+asyncpg://"):
                raise ValueError(f"{name} must begin with postgresql+asyncpg://")
        return self

    @property
    def data_dir(self) -> Path:
        """Where everything lies that has to last."""
        return self.sandwright_data_dir.absolute()

    @property
    def templates_dir(self) -> Path:
        """Where the local engine's own template is written, anew at each start."""
        return self.data_dir / "templates"

    @property
    def local_engine(self) -> bool:
        """Whether the stand-in for E2B is needed."""
        return not self.e2b_api_key

    @property
    def local_model(self) -> bool:
        """Whether the stand-in for the model is needed: a compatible endpoint may need no key."""
        return not self.anthropic_api_key and not self.anthropic_base_url

    @property
    def embedded_postgres(self) -> bool:
        """Whether no database of the user's own is named."""
        return not self.projects_database_url


def environment() -> dict[str, str]:
    """The environment with what ``.env`` adds; what is set empty counts as not set.

    SANDWRIGHT_ENV_FILE names another file than ``.env``.
    """
    dotenv = Path(os.environ.get("SANDWRIGHT_ENV_FILE", ROOT / ".env"))
    known = {name: value for name, value in dotenv_values(dotenv).items() if value}
    return {**known, **{name: value for name, value in os.environ.items() if value}}


def settings_from(known: dict[str, str]) -> StackSettings:
    """The settings of an environment. A bad one ends the process with exit code 2 and a line that names it."""
    try:
        fields = {name.lower(): value for name, value in known.items()}
        return StackSettings(**{k: v for k, v in fields.items() if k in StackSettings.model_fields})
    except ValidationError as exc:
        for problem in exc.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            said = problem["msg"].removeprefix("Value error, ")
            print(f"setting {name}: {said}" if name else f"setting {said}", file=sys.stderr)
        raise SystemExit(2) from exc

"""Every variable that the model server reads, prefix `LOCAL_MODEL_`."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from local.model import faults


class Settings(BaseSettings):
    """How the server listens and how fast it speaks."""

    model_config = SettingsConfigDict(env_prefix="LOCAL_MODEL_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=3001, ge=0, le=65535, description="TCP port; 0 picks a free one")
    api_key: SecretStr | None = Field(
        default=None, description="the only key let in; unset lets every caller in"
    )
    tokens_per_second: float = Field(
        default=600, ge=0, le=1_000_000, description="speed of each answer; 0 is as fast as it goes"
    )
    first_token_delay_ms: int = Field(
        default=40, ge=0, le=60_000, description="wait before an answer's first token"
    )
    max_body_bytes: int = Field(
        default=32_000_000, ge=1_024, description="a larger request answers 413"
    )
    shutdown_grace_seconds: int = Field(
        default=3, ge=0, le=300, description="time that open streams get after SIGTERM"
    )
    faults: str = Field(
        default="",
        description="failures on request, such as 529:0.1,cut:3 (kinds and counts: local/model/README.md)",
    )
    fault_seed: int = Field(default=0, description="decides which requests a rate of faults meets")

    @field_validator("faults")
    @classmethod
    def _known_faults(cls, value: str) -> str:
        faults.rules(value)
        return value

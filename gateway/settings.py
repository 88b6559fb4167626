"""Every variable that the gateway reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kit.settings import MIB, DeadlineSettings


def _address(variable: str) -> AliasChoices:
    """A peer's variable has no prefix: everyone who calls that peer reads the same one."""
    return AliasChoices(variable, variable.lower())


class GatewaySettings(BaseSettings):
    """Sizes in bytes, times in seconds. The prefix is ``GATEWAY_`` unless an alias says otherwise."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="ignore")

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""
    projects_address: str = Field(
        "127.0.0.1:50051", validation_alias=_address("PROJECTS_ADDRESS"), min_length=1
    )
    """Where the projects service is, as host:port."""
    sandbox_address: str = Field(
        "127.0.0.1:50052", validation_alias=_address("SANDBOX_ADDRESS"), min_length=1
    )
    """Where the sandbox service is."""
    generation_address: str = Field(
        "127.0.0.1:50053", validation_alias=_address("GENERATION_ADDRESS"), min_length=1
    )
    """Where the generation service is."""
    deadlines: DeadlineSettings = Field(default_factory=DeadlineSettings)
    """DEADLINE_READ_SECONDS, DEADLINE_WRITE_SECONDS, DEADLINE_CREATE_SANDBOX_SECONDS."""

    drain_seconds: float = Field(10, ge=0)
    """How long answers under way may go on after SIGTERM. Event streams are ended at once."""
    keep_alive_seconds: int = Field(30, ge=1)
    """How long an idle connection is kept. Longer than a proxy in front keeps its own."""
    header_seconds: float = Field(15, gt=0)
    """Longest wait for the headers of a request."""
    body_idle_seconds: float = Field(30, gt=0)
    """Longest wait for the next bytes of a request's body."""
    send_seconds: float = Field(30, gt=0)
    """Longest wait for a client to take what is sent to it; then it is dropped."""
    heartbeat_seconds: float = Field(15, gt=0)
    """Time between two comments on an event stream."""
    connect_wait_seconds: float = Field(10, ge=0)
    """How long an event stream waits for a service that is restarting: on a 503 a browser would give up for good."""
    reconnect_seconds: float = Field(1, ge=0)
    """What clients of an event stream are told to wait before they come back after a restart."""

    max_header_bytes: int = Field(32 * 1024, ge=1024)
    """Largest request line and headers together."""
    max_json_bytes: int = Field(MIB, ge=64 * 1024)
    """Largest JSON body."""
    max_json_content_bytes: int = Field(8 * MIB, ge=64 * 1024)
    """The same where the request holds files, as base64: 5 MiB of them are 7 MiB then."""
    max_upload_bytes: int = Field(256 * MIB, ge=MIB)
    """Largest body of bytes. The services have limits of their own for what they store."""
    upload_chunk_bytes: int = Field(256 * 1024, ge=1024, le=MIB)
    """Largest message into which an upload is cut."""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of other sites whose scripts may call the API (CORS), separated by commas. None by default."""
    trusted_proxies: str = ""
    """Addresses of proxies whose X-Forwarded-For is believed, separated by commas; ``*`` for all."""

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

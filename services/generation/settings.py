"""Every variable that the generation service reads."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kit.settings import ServerSettings


class Vendor(StrEnum):
    """Who offers the models."""

    ANTHROPIC = "anthropic"
    """The vendor's own API, or whatever speaks it at ``ANTHROPIC_BASE_URL``."""
    BEDROCK = "bedrock"
    VERTEX = "vertex"


class GenerationSettings(ServerSettings):
    """Prefix ``GENERATION_``, but for peers' addresses and the vendor's own variables."""

    model_config = SettingsConfigDict(
        env_prefix="GENERATION_", extra="ignore", populate_by_name=True
    )

    port: int = Field(50053, ge=0, le=65535)
    projects_address: str = Field(
        "127.0.0.1:50051", validation_alias=AliasChoices("PROJECTS_ADDRESS", "projects_address")
    )
    """Where the projects service listens."""
    sandbox_address: str = Field(
        "127.0.0.1:50052", validation_alias=AliasChoices("SANDBOX_ADDRESS", "sandbox_address")
    )
    """Where the sandbox service listens."""

    vendor: Vendor = Vendor.ANTHROPIC
    """Who offers the models: anthropic, bedrock or vertex. The clouds need ``requirements/clouds.lock`` besides, and
    find their credentials by their own rules: variables, files, the machine's role."""
    region: str = ""
    """The cloud's region, for bedrock and vertex."""
    cloud_project: str = ""
    """The Google Cloud project, for vertex; empty: that of the credentials."""
    anthropic_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("ANTHROPIC_API_KEY", "anthropic_api_key")
    )
    """The vendor's key. A compatible endpoint on this machine may do without."""
    anthropic_base_url: str | None = Field(
        None, validation_alias=AliasChoices("ANTHROPIC_BASE_URL", "anthropic_base_url")
    )
    """Another endpoint that speaks the Messages API; unset: the vendor's."""
    model: str = Field("claude-sonnet-5-5", min_length=1, max_length=100)
    """Which model answers where a request names none."""
    max_tokens: int = Field(32_000, ge=1024)
    """Tokens that one turn of the model may write; fewer where the vendor says that the model can't write as many."""
    max_turns: int = Field(40, ge=1)
    """Turns of the model in one generation."""
    max_cost_usd: Decimal = Field(Decimal(1), gt=0)
    """Cost of one generation in US dollars. A request may ask for less."""
    max_cost_usd_per_day: Decimal = Field(Decimal(10), ge=0)
    """Cost of one user's generations in a day of UTC, in US dollars; 0: any amount."""
    max_cost_usd_per_month: Decimal = Field(Decimal(100), ge=0)
    """Cost of one user's generations in a month of UTC, in US dollars; 0: any amount."""
    least_cost_usd: Decimal = Field(Decimal("0.05"), gt=0)
    """With less than this left of a user's day or month no generation is begun, unless it asks for less."""
    unpriced_models: str = Field("refuse", pattern=r"^(refuse|free|\d+(\.\d+)?/\d+(\.\d+)?)$")
    """What becomes of a prompt for a model whose price is not in ``services/generation/prices.toml``: ``refuse``, since
    no limit would hold; ``free``, for models of one's own; or a rate in US dollars for a million tokens read and
    written, such as ``3/15``, by which limits hold and costs are marked as estimated."""
    usage_interval_seconds: float = Field(2, gt=0)
    """How often the running cost of a turn under way is told, as an estimate."""
    models_seconds: float = Field(600, gt=0)
    """How long the vendor's list of models is believed before it is asked for again."""
    model_read_timeout_seconds: float = Field(90, gt=0)
    """Silence of the model after which its stream counts as cut."""
    turn_timeout_seconds: float = Field(900, gt=0)
    """Longest that one turn may take."""
    turn_restarts: int = Field(3, ge=0)
    """How many cut turns of a generation are asked again."""
    model_knocks: int = Field(6, ge=1)
    """How often a turn is asked for while the model refuses to begin (overloaded, rate limited)."""
    retry_seconds: float = Field(0.5, gt=0)
    """First pause before the model is asked again; it doubles up to ``max_retry_seconds``."""
    max_retry_seconds: float = Field(16, gt=0)
    """Longest pause; where the model asks for a longer one the generation fails and says so."""
    repair_rounds: int = Field(2, ge=0)
    """How often what a check finds goes back to the model."""
    check_seconds: float = Field(20, gt=0)
    """Longest that one check may take; one that takes longer is left out."""
    browser: str = ""
    """Chromium, a name or a path, in which pages are loaded to see what their scripts say, jailed by bubblewrap and
    without a network; empty: whatever is installed, "off": none."""
    browser_seconds: float = Field(20, gt=0)
    """Longest that loading a generation's pages may take; what was seen by then counts."""
    team_max_pages: int = Field(12, ge=1, le=50)
    """Pages that a team may plan."""
    team_parallel: int = Field(4, ge=1)
    """Agents of a team that write pages at once."""
    context_bytes: int = Field(100_000, ge=0)
    """Bytes of the project's text files that a prompt carries along."""

    command_seconds: int = Field(60, ge=1, le=600)
    """How long a command that the model runs may take."""

    workers: int = Field(8, ge=1)
    """Generations that this process works on at once."""
    max_running_per_user: int = Field(2, ge=1)
    """Generations of one user that run at once; more wait."""
    max_queued_per_user: int = Field(20, ge=1)
    """Generations of one user that may wait; more are refused."""
    max_attachment_bytes_per_user: int = Field(100 * 1024 * 1024, ge=5 * 1024 * 1024)
    """Bytes of one user's attachments that are kept. Those of generations that have ended make room for new ones."""
    keep_work_days: float = Field(7, ge=0, le=3650)
    """Days for which a generation that has ended keeps its attachments' bytes and its conversation with the model."""
    lease_seconds: float = Field(15, gt=0)
    """How long a worker owns a generation without renewing."""
    lease_renew_seconds: float = Field(5, gt=0)
    """How often a worker renews."""
    max_claims: int = Field(25, ge=1)
    """After so many workers were lost a generation is given up."""
    poll_seconds: float = Field(1, gt=0)
    """How often the queue and the log are looked at without a wake-up."""
    draft_interval_ms: int = Field(150, ge=0, le=10_000)
    """How often a file that is being written is shown in the preview; 0: not before it is done."""
    event_batch_ms: int = Field(50, ge=0, le=5000)
    """How long deltas are gathered before they are written."""
    peer_patience_seconds: float = Field(60, ge=0)
    """How long a step waits for a service that does not answer."""
    ending_patience_seconds: float = Field(300, ge=0)
    """The same for the steps that end a generation."""

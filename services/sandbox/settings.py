"""Every variable that the sandbox service reads: ``SANDBOX_`` and the name here, unless it says otherwise."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.settings import MIB, ServerSettings

WRITE_MARGIN_SECONDS = 10
"""By so much a write ends before its callers' default deadline, so that they are told how it ended."""


class E2bSettings(BaseSettings):
    """How E2B, or what speaks its protocol, is reached."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", extra="ignore")

    e2b_api_key: SecretStr = Field(validation_alias=AliasChoices("E2B_API_KEY", "e2b_api_key"))
    """E2B_API_KEY. The local engine takes any."""
    e2b_api_url: str = Field("", validation_alias=AliasChoices("E2B_API_URL", "e2b_api_url"))
    """E2B_API_URL: where the control plane is, if not at the vendor's."""
    e2b_sandbox_url: str = Field(
        "", validation_alias=AliasChoices("E2B_SANDBOX_URL", "e2b_sandbox_url")
    )
    """E2B_SANDBOX_URL: where sandboxes are reached, if not at the vendor's."""
    e2b_domain: str = Field("", validation_alias=AliasChoices("E2B_DOMAIN", "e2b_domain"))
    """E2B_DOMAIN, if not the vendor's own."""
    e2b_template: str = Field("base", min_length=1)
    """What a sandbox is made from. It must have Python 3.8 or later and sha256sum. `sandwright`, which
    `make run` gives the local engine, has the preview server running."""
    e2b_fallback_template: str = "base"
    """What a sandbox is made from where the vendor has no such template; empty: nothing, and that is an error."""
    e2b_timeout_seconds: float = Field(30, gt=0)
    """How long one request to the vendor may take."""


class PreviewSettings(BaseSettings):
    """What the preview server is told at its start."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", extra="ignore")

    single_page_previews: bool = False
    """Whether previews answer addresses that lead to no file with index.html, whose script understands them. A project
    decides for itself with a 200.html (that page for each such address) or a 404.html (none)."""
    draft_seconds: float = Field(120, gt=0)
    """A draft that has not been written to for so long is not shown any more: whoever wrote it has died."""


class SandboxSettings(PreviewSettings, E2bSettings, ServerSettings):
    """The defaults are the platform's."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", extra="ignore")

    port: Annotated[int, Field(ge=0, le=65535)] = 50052
    projects_address: str = Field(
        "127.0.0.1:50051", validation_alias=AliasChoices("PROJECTS_ADDRESS", "projects_address")
    )
    """PROJECTS_ADDRESS: host and port of the projects service."""

    deployment: str = Field("default", pattern=r"^[a-z0-9-]{1,64}$")
    """Tells the sandboxes of two installations on one account apart: each closes what is unknown to it under its
    own name."""
    lifetime_seconds: int = Field(3600, gt=0)
    """A sandbox is closed so long after its creation, or put to sleep where its project keeps it."""
    maximum_lifetime_seconds: int = Field(86_400, gt=0)
    """By extensions a sandbox lasts at most so long from its creation, or from its last waking."""
    idle_pause_seconds: float = Field(0, ge=0)
    """A sandbox that nobody has used for so long is put to sleep by the next sweep; 0: never."""
    vendor_grace_seconds: int = Field(600, ge=0)
    """By so much the vendor's own limit is later, so that a running service closes sandboxes itself."""
    vendor_maximum_seconds: int = Field(3600, gt=0)
    """The vendor's longest limit: an hour on E2B's free plan, 86,400 s on others."""
    sweep_seconds: float = Field(300, gt=0)
    """How often what has expired, vanished or was forgotten is looked for."""
    ending_look_seconds: float = Field(5, gt=0)
    """How often sandboxes whose time is over are looked for, and closed or put to sleep."""
    ending_lead_seconds: float = Field(15, ge=0)
    """So long before the vendor itself ends a sandbox, what was done inside is taken over into the store, at every
    look; one that is kept is put to sleep then."""
    max_active_per_user: int = Field(3, ge=1)
    """Sandboxes of one user that run or are being made at once; those that sleep do not count."""
    max_seconds_a_day: int = Field(0, ge=0)
    """Seconds that one user's sandboxes may run in a day (UTC), all together; 0: any number. What runs when they are
    used up is ended, or put to sleep where its project keeps it, by the next sweep."""
    cpu_count: float = Field(2, gt=0)
    """Processors of a sandbox of the template, for what it costs: E2B's own template has 2."""
    memory_mib: int = Field(512, gt=0)
    """Its memory, alike."""
    prices: str = Field("", pattern=r"^[a-z0-9-]*$")
    """Whose prices hold, a name in services/sandbox/prices.toml. Empty: e2b, or local where E2B_API_URL is set."""

    create_timeout_seconds: float = Field(60, gt=0)
    """How long making and filling a sandbox may take."""
    attempt_seconds: float = Field(15, gt=0)
    """Who makes a sandbox and has not been heard of for so long has died; somebody else goes on."""
    preview_timeout_seconds: float = Field(20, gt=0)
    """How long the preview server may take to answer."""
    write_timeout_seconds: float = Field(75 - WRITE_MARGIN_SECONDS, gt=0)
    """How long a write may take once all of it has arrived, a new sandbox included."""
    report_wait_seconds: float = Field(0.5, ge=0)
    """How long a call waits for the project to show what it did to the sandbox."""

    max_file_bytes: int = Field(10 * MIB, ge=1)
    max_write_bytes: int = Field(200 * MIB, ge=1)
    """Bytes of all files of one write."""
    max_write_steps: int = Field(10_000, ge=1)
    """Steps (puts, deletes, renames) of one write."""
    max_listed_entries: int = Field(10_000, ge=1)
    """Entries of one listing of a sandbox's files."""
    max_archive_bytes: int = Field(200 * MIB, ge=1)
    """Bytes of one zip archive that is uploaded, as it arrives. Unpacked it is a write: see there."""
    max_project_files: int = Field(2_000, ge=1)
    """Files of one archive, and of what is taken over from a sandbox."""
    ignored_names: str = (
        "node_modules,.git,.hg,.svn,__pycache__,*.pyc,.venv,venv,.cache,.npm,.parcel-cache,.next,.nuxt,.svelte-kit,"
        ".turbo,.vite,.astro,.pytest_cache,.mypy_cache,.ruff_cache,.DS_Store,*.swp,*.swx,*~,.#*,4913"
    )
    """Files and folders of these names (as a shell matches them) that lie in a project's folder are not the project:
    they don't reach the store, are in no watch and in no archive, and stay where they are."""

    watch_settle_seconds: float = Field(0.05, ge=0)
    """What changes in a sandbox within so long is looked at together."""
    watch_rescan_seconds: float = Field(30, gt=0)
    """How often a watched sandbox is looked at though it told of nothing."""
    watch_linger_seconds: float = Field(300, ge=0)
    """How long a sandbox is watched after the last command and the last watcher: what they started may go on."""
    max_watches_per_user: int = Field(50, ge=1)
    """Streams of file changes that one user has open at once, of all projects together, in one replica."""
    sync_debounce_seconds: float = Field(0.3, ge=0)
    """So long after a change inside a sandbox it is taken over into the store, with what came meanwhile."""
    command_timeout_seconds: int = Field(60, ge=1, le=3600)
    """How long a command may take whose caller names no timeout."""
    max_command_output_bytes: int = Field(10 * MIB, ge=1)
    """Output of one command; what is more is left out."""
    max_command_env_bytes: int = Field(128 * 1024, ge=1)
    """Names and values of the variables of one command, together."""
    max_commands_at_once: int = Field(4, ge=1)
    """Commands that run in one sandbox at the same time."""
    max_commands_per_minute: int = Field(60, ge=1)
    """Commands that one user begins within any 60 seconds."""

    @model_validator(mode="after")
    def _within_the_vendors_limit(self) -> Self:
        if self.lifetime_seconds > self.vendor_maximum_seconds:
            raise ValueError(
                "SANDBOX_LIFETIME_SECONDS is more than SANDBOX_VENDOR_MAXIMUM_SECONDS allows"
            )
        if self.lifetime_seconds > self.maximum_lifetime_seconds:
            raise ValueError(
                "SANDBOX_LIFETIME_SECONDS is more than SANDBOX_MAXIMUM_LIFETIME_SECONDS allows"
            )
        return self

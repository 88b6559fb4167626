"""The SDK's clients: the vendor's own API, or a cloud that offers the same models."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import httpx2
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex

from services.generation.settings import GenerationSettings, Vendor

_CONNECT_SECONDS = 10.0
Client = AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicVertex


def open_client(settings: GenerationSettings) -> Client:
    """The client that the settings ask for; nothing connects yet.

    A cloud's credentials are found by the cloud's own rules. Raises ``ValueError`` with a sentence that names the
    setting, or the package, that is missing.
    """
    shared: dict[str, Any] = {
        "timeout": httpx2.Timeout(settings.model_read_timeout_seconds, connect=_CONNECT_SECONDS),
        # We retry ourselves: the SDK would sleep for as long as a Retry-After says, and cannot tell a job about it.
        "max_retries": 0,
        "base_url": settings.anthropic_base_url or None,
    }
    match settings.vendor:
        case Vendor.BEDROCK:
            return _bedrock(settings, shared)
        case Vendor.VERTEX:
            return _vertex(settings, shared)
    key = settings.anthropic_api_key.get_secret_value() if settings.anthropic_api_key else ""
    if not key and not settings.anthropic_base_url:
        raise ValueError(
            "ANTHROPIC_API_KEY: set it, or set ANTHROPIC_BASE_URL to an endpoint that needs none"
        )
    # The SDK insists on a credential, also for an endpoint on this machine.
    return AsyncAnthropic(api_key=key or "none", **shared)


def _bedrock(settings: GenerationSettings, shared: dict[str, Any]) -> AsyncAnthropicBedrock:
    _need("botocore", settings.vendor)
    if not settings.region:
        raise ValueError("GENERATION_REGION: set it to the AWS region whose models answer")
    return AsyncAnthropicBedrock(aws_region=settings.region, **shared)


def _vertex(settings: GenerationSettings, shared: dict[str, Any]) -> AsyncAnthropicVertex:
    _need("google.auth", settings.vendor)
    if not settings.region:
        raise ValueError("GENERATION_REGION: set it to the Google Cloud region, or to global")
    project: dict[str, Any] = {}
    if settings.cloud_project:
        project["project_id"] = settings.cloud_project
    return AsyncAnthropicVertex(region=settings.region, **project, **shared)


def _need(package: str, vendor: Vendor) -> None:
    try:
        found = find_spec(package) is not None
    except ModuleNotFoundError:
        # A parent package is missing as well.
        found = False
    if not found:
        raise ValueError(
            f"GENERATION_VENDOR: {vendor} needs packages more: uv pip install -r requirements/clouds.lock, "
            "or CLOUDS=1 docker compose build for the image"
        )

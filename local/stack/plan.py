"""Which processes the platform needs by its settings, with the environment of each."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.stack.settings import StackSettings

COMPOSER = "sandwright-composer-1"
"""How the local model calls itself."""
_TEMPLATE = "sandwright"
"""What ``services.sandbox.template`` calls the one that it writes."""
_ENGINE_LONGEST_SECONDS = "86400"
"""The local engine's own limit to a sandbox's life."""
# What one process needs and no other may see.
_PRIVATE = (
    "E2B_",
    "ANTHROPIC_",
    "DATABASE_URL",
    "AWS_",
    "GOOGLE_APPLICATION",
    "LOCAL_SANDBOXES_API_KEY",
)


@dataclass(frozen=True)
class Process:
    """One process of the platform."""

    name: str
    module: str
    """What ``python -m`` runs."""
    port: int
    port_setting: str
    """The variable that gives it another port."""
    env: Mapping[str, str]
    http_health: str = ""
    """Path that answers 2xx when it is ready; empty where it speaks gRPC and has the standard health service."""
    tier: int = 1
    """Tiers stop one after the other, the highest first."""

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", self.module]


def plan(
    settings: StackSettings,
    environment: Mapping[str, str],
    database_urls: Mapping[str, str],
    keys: Path,
) -> list[Process]:
    """The processes in the order in which they start. ``database_urls`` are by service."""
    public = {k: v for k, v in environment.items() if not _private(k)}
    common = {
        **public,
        "PYTHONUNBUFFERED": "1",
        "LOG_FORMAT": settings.log_format,
        "SERVICE_KEYS_FILE": str(keys / "services.jwks"),
        "PROJECTS_ADDRESS": f"127.0.0.1:{settings.projects_port}",
        "SANDBOX_ADDRESS": f"127.0.0.1:{settings.sandbox_port}",
        "GENERATION_ADDRESS": f"127.0.0.1:{settings.generation_port}",
    }
    e2b, engine = _e2b(settings, environment, common)
    anthropic, model = _anthropic(settings, environment, common)

    def service(name: str, port: int, **own: str) -> Process:
        variables = {
            **common,
            f"{name.upper()}_PORT": str(port),
            f"{name.upper()}_DATABASE_URL": database_urls[name],
            f"{name.upper()}_SERVICE_KEY_FILE": str(keys / f"{name}.jwk"),
            **own,
        }
        return Process(name, f"services.{name}", port, f"{name.upper()}_PORT", variables, tier=2)

    users = str(keys / "users.jwks")
    return [
        *engine,
        *model,
        service("projects", settings.projects_port, PROJECTS_SIGNING_KEYS_FILE=users),
        service("sandbox", settings.sandbox_port, **e2b),
        service("generation", settings.generation_port, **anthropic),
        Process(
            "gateway",
            "gateway",
            settings.gateway_port,
            "GATEWAY_PORT",
            {**common, "GATEWAY_PORT": str(settings.gateway_port)},
            http_health="/readyz",
            tier=3,
        ),
    ]


def _private(variable: str) -> bool:
    return variable.endswith("_PASSWORD") or any(mark in variable for mark in _PRIVATE)


def _e2b(
    settings: StackSettings, environment: Mapping[str, str], common: Mapping[str, str]
) -> tuple[dict[str, str], list[Process]]:
    """The sandbox service's variables for E2B, and the engine where there is no key."""
    if not settings.local_engine:
        return {k: v for k, v in environment.items() if k.startswith("E2B_")}, []
    # A page in a browser may try this port too: only who has the key may make sandboxes.
    key = secrets.token_urlsafe(24)
    port = settings.local_sandboxes_port
    url = f"http://127.0.0.1:{port}"
    templates = Path(environment.get("LOCAL_SANDBOXES_TEMPLATES_DIR", settings.templates_dir))
    engine = Process(
        "sandboxes",
        "local.sandboxes",
        port,
        "LOCAL_SANDBOXES_PORT",
        {
            **common,
            "LOCAL_SANDBOXES_PORT": str(port),
            "LOCAL_SANDBOXES_API_KEY": key,
            "LOCAL_SANDBOXES_DATA_DIR": str(settings.data_dir / "sandboxes"),
            "LOCAL_SANDBOXES_TEMPLATES_DIR": str(templates),
        },
        http_health="/health",
    )
    longest = environment.get("SANDBOX_VENDOR_MAXIMUM_SECONDS", _ENGINE_LONGEST_SECONDS)
    ours = templates == settings.templates_dir
    return {
        "E2B_API_KEY": key,
        "E2B_API_URL": url,
        "E2B_SANDBOX_URL": url,
        "SANDBOX_VENDOR_MAXIMUM_SECONDS": longest,
        "SANDBOX_E2B_TEMPLATE": environment.get(
            "SANDBOX_E2B_TEMPLATE", _TEMPLATE if ours else "base"
        ),
    }, [engine]


def _anthropic(
    settings: StackSettings, environment: Mapping[str, str], common: Mapping[str, str]
) -> tuple[dict[str, str], list[Process]]:
    """The generation service's variables for the model, and the stand-in where there is neither key nor address."""
    if not settings.local_model:
        return {k: v for k, v in environment.items() if k.startswith("ANTHROPIC_")}, []
    key = secrets.token_urlsafe(24)
    port = settings.local_model_port
    model = Process(
        "model",
        "local.model",
        port,
        "LOCAL_MODEL_PORT",
        {**common, "LOCAL_MODEL_PORT": str(port), "LOCAL_MODEL_API_KEY": key},
        http_health="/health",
    )
    variables = {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    # Nobody is told that Claude wrote what the composer wrote.
    return {"GENERATION_MODEL": COMPOSER, **variables}, [model]

"""The compose file agrees with the settings that the processes read. A container engine is not needed for that."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS = {
    "projects": "services.projects.settings:ProjectsSettings",
    "sandbox": "services.sandbox.settings:SandboxSettings",
    "generation": "services.generation.settings:GenerationSettings",
    "gateway": "gateway.settings:GatewaySettings",
    "sandboxes": "local.sandboxes.settings:Settings",
    "model": "local.model.settings:Settings",
}
PORTS = {
    "projects": 50051,
    "sandbox": 50052,
    "generation": 50053,
    "gateway": 8080,
    "sandboxes": 3000,
    "model": 3001,
}


def _settings(name: str) -> type[BaseSettings]:
    module, kind = SETTINGS[name].split(":")
    found: type[BaseSettings] = getattr(importlib.import_module(module), kind)
    return found


def _environment(name: str) -> dict[str, str]:
    """A service's variables as compose would fill them in from .env.example."""
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )

    def value(match: re.Match[str]) -> str:
        variable, fallback = match["name"], match["default"] or ""
        found = example.get(variable, "")
        assert found or not match["must"], f"{variable} must be in .env.example"
        return found or fallback

    pattern = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|(?P<must>:\?[^}]*))?\}")
    raw = SERVICES[name].get("environment", {})
    return {key: pattern.sub(value, str(text)) for key, text in raw.items()}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_processs_settings_are_complete_and_listen_where_the_health_check_asks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in _environment(name).items():
        monkeypatch.setenv(variable, value or "x")
    settings: Any = _settings(name)()
    assert settings.port == PORTS[name]
    assert settings.host == "0.0.0.0"
    assert str(PORTS[name]) in " ".join(SERVICES[name]["healthcheck"]["test"])


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_process_runs_a_module_that_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    assert command[:2] == ["python", "-m"]
    assert (ROOT / command[2].replace(".", "/") / "__main__.py").is_file()


def test_every_address_names_a_service_and_its_port() -> None:
    for name in SERVICES:
        for value in _environment(name).values():
            for host, port in re.findall(r"(?:^|//|@)([a-z]+):(\d+)", value):
                if host != "localhost":
                    assert host in SERVICES, f"{name}: {value}"
                    assert int(port) == {**PORTS, "postgres": 5432}[host]


def test_everything_waits_for_what_it_needs_to_be_healthy() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{name} waits for {needed}"
    assert set(SERVICES["gateway"]["depends_on"]) == {"projects", "sandbox", "generation"}


def test_every_volume_is_declared_and_every_published_port_is_this_machines_alone() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_keys_come_from_the_env_file_alone() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in ("E2B_API_KEY", "ANTHROPIC_API_KEY", "POSTGRES_PASSWORD"):
        assert re.search(rf"{secret}: \$\{{{secret}", text)
    assert (ROOT / ".env.example").exists()
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_holds_every_package_that_a_command_imports() -> None:
    copied = re.findall(r"^COPY (\w+) ", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert {"buf", "gateway", "kit", "local", "protos", "services"} <= set(copied)


@pytest.mark.parametrize("name", ["projects", "sandbox", "generation"])
def test_what_the_example_offers_to_set_reaches_its_container_with_the_same_default(
    name: str,
) -> None:
    offered = re.findall(
        rf"^# ({name.upper()}_\w+)=(\S+)$", (ROOT / ".env.example").read_text(), re.MULTILINE
    )
    raw = SERVICES[name]["environment"]
    for variable, default in offered:
        if variable.endswith("_PORT"):
            continue
        assert f"${{{variable}:-" in raw[variable]
        field = _settings(name).model_fields[variable.removeprefix(f"{name.upper()}_").lower()]
        assert str(field.default) == default
        assert re.search(r":-(.*)\}", raw[variable])[1] in {default, ""}  # type: ignore[index]  # matched above


def test_the_image_has_the_clouds_packages_where_its_argument_asks_for_them() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert COMPOSE["x-image"]["build"]["args"] == {"CLOUDS": "${CLOUDS:-}"}
    assert "\nARG CLOUDS=\n" in dockerfile
    assert re.search(r'if \[ -n "\$CLOUDS" \]; then .*-r requirements/clouds\.lock; fi', dockerfile)
    # What is installed has been copied by then.
    copied = dockerfile.index("requirements/clouds.lock requirements/")
    assert (
        copied < dockerfile.index("ARG CLOUDS=") < dockerfile.index("-r requirements/clouds.lock;")
    )

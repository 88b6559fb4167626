"""What the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kit.settings import read
from services.sandbox.convert import folder
from services.sandbox.settings import SandboxSettings

NEEDED = {
    "SANDBOX_SERVICE_KEY_FILE": "sandbox.jwk",
    "SERVICE_KEYS_FILE": "services.jwks",
    "SANDBOX_DATABASE_URL": "postgresql+asyncpg://x/y",
    "E2B_API_KEY": "e2b_secret",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_DOMAIN", "PROJECTS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_the_defaults_are_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_LIFETIME_SECONDS", "1800")
    monkeypatch.setenv("E2B_API_URL", "http://localhost:3000")
    found = read(SandboxSettings)
    assert (found.port, found.sweep_seconds, found.max_active_per_user) == (50052, 300, 3)
    assert found.lifetime_seconds == 1800
    assert found.e2b_api_url == "http://localhost:3000"
    assert found.projects_address == "127.0.0.1:50051"
    assert found.service_key_file == Path("sandbox.jwk")
    assert "e2b_secret" not in repr(found)


def test_a_missing_key_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("E2B_API_KEY")
    with pytest.raises(SystemExit) as found:
        read(SandboxSettings)
    assert found.value.code == 2
    assert "E2B_API_KEY" in capsys.readouterr().err


def test_a_lifetime_beyond_the_vendors_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_LIFETIME_SECONDS", "7200")
    with pytest.raises(ValidationError, match="SANDBOX_VENDOR_MAXIMUM_SECONDS"):
        SandboxSettings()
    monkeypatch.setenv("SANDBOX_VENDOR_MAXIMUM_SECONDS", "86400")
    assert SandboxSettings().lifetime_seconds == 7200


@pytest.mark.parametrize(
    ("path", "absolute"),
    [
        ("", "/home/user/site"),
        ("css", "/home/user/site/css"),
        ("css/", "/home/user/site/css"),
        ("./css//a", "/home/user/site/css/a"),
        ("/", "/"),
        ("//", "/"),
        ("/home/", "/home"),
        ("a..b", "/home/user/site/a..b"),
    ],
)
def test_folders_are_relative_to_the_project_or_absolute(path: str, absolute: str) -> None:
    assert folder(path) == absolute

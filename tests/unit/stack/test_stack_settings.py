"""Which parts of the platform are real, and which variables each process gets to see."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from local.stack.plan import COMPOSER, Process, plan
from local.stack.ports import taken
from local.stack.progress import tree
from local.stack.settings import StackSettings, environment, settings_from
from services.sandbox.template import NAME

URLS = {name: f"postgresql+asyncpg://{name}" for name in ("projects", "sandbox", "generation")}


def _processes(**known: str) -> dict[str, Process]:
    settings = settings_from(known)
    return {p.name: p for p in plan(settings, known, URLS, Path("/keys"))}


def test_without_keys_both_stand_ins_run_and_the_services_are_pointed_to_them() -> None:
    processes = _processes(PATH="/bin")
    assert set(processes) == {"sandboxes", "model", "projects", "sandbox", "generation", "gateway"}
    assert processes["sandbox"].env["E2B_API_URL"] == "http://127.0.0.1:3000"
    assert processes["generation"].env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:3001"
    assert processes["generation"].env["GENERATION_MODEL"] == COMPOSER
    key = processes["sandboxes"].env["LOCAL_SANDBOXES_API_KEY"]
    assert processes["sandbox"].env["E2B_API_KEY"] == key


def test_the_local_engine_has_the_template_that_the_service_asks_for() -> None:
    processes = _processes(SANDWRIGHT_DATA_DIR="/data")
    folder = processes["sandboxes"].env["LOCAL_SANDBOXES_TEMPLATES_DIR"]
    assert folder == "/data/templates"
    assert processes["sandbox"].env["SANDBOX_E2B_TEMPLATE"] == NAME


def test_whoever_names_a_template_or_has_some_of_their_own_is_heeded() -> None:
    named = _processes(SANDBOX_E2B_TEMPLATE="mine")["sandbox"]
    assert named.env["SANDBOX_E2B_TEMPLATE"] == "mine"
    own = _processes(LOCAL_SANDBOXES_TEMPLATES_DIR="/mine")
    assert own["sandboxes"].env["LOCAL_SANDBOXES_TEMPLATES_DIR"] == "/mine"
    assert own["sandbox"].env["SANDBOX_E2B_TEMPLATE"] == "base"
    assert "SANDBOX_E2B_TEMPLATE" not in _processes(E2B_API_KEY="k")["sandbox"].env


def test_with_keys_no_stand_in_runs_and_each_key_reaches_one_process_alone() -> None:
    processes = _processes(E2B_API_KEY="key-of-e2b", ANTHROPIC_API_KEY="key-of-anthropic")
    assert set(processes) == {"projects", "sandbox", "generation", "gateway"}
    for secret, owner in (("key-of-e2b", "sandbox"), ("key-of-anthropic", "generation")):
        assert [n for n, p in processes.items() if secret in p.env.values()] == [owner]
    assert "E2B_API_URL" not in processes["sandbox"].env
    assert "ANTHROPIC_BASE_URL" not in processes["generation"].env


def test_a_compatible_endpoint_takes_the_place_of_the_stand_in() -> None:
    processes = _processes(ANTHROPIC_BASE_URL="http://127.0.0.1:9999")
    assert "model" not in processes
    assert processes["generation"].env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9999"


def test_no_process_sees_another_ones_database() -> None:
    own = {f"{name.upper()}_DATABASE_URL": url for name, url in URLS.items()}
    processes = _processes(
        ADMIN_DATABASE_URL="postgresql+asyncpg://admin:secret@x/y",
        POSTGRES_PASSWORD="secret",
        **own,
    )
    for name, process in processes.items():
        seen = {k for k in process.env if "DATABASE_URL" in k}
        expected = {f"{name.upper()}_DATABASE_URL"} if name in URLS else set()
        assert seen == expected
        assert "POSTGRES_PASSWORD" not in process.env


def test_the_environment_wins_over_the_env_file_and_empty_counts_as_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    file.write_text("GATEWAY_PORT=9000\nPROJECTS_PORT=9001\nE2B_API_KEY=\n")
    monkeypatch.setenv("SANDWRIGHT_ENV_FILE", str(file))
    monkeypatch.setenv("GATEWAY_PORT", "9100")
    monkeypatch.setenv("PROJECTS_PORT", "")
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    settings = settings_from(environment())
    assert (settings.gateway_port, settings.projects_port) == (9100, 9001)
    assert settings.local_engine


def test_a_bad_setting_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings_from({"GATEWAY_PORT": "eighty"})
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("setting GATEWAY_PORT:")


def test_a_port_in_use_is_named_with_its_owner_and_the_variable() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        processes = plan(StackSettings(gateway_port=port), {}, URLS, Path("/keys"))
        (line,) = [line for line in taken(processes) if str(port) in line]
    assert "gateway" in line
    assert "GATEWAY_PORT" in line


def test_a_tree_lists_folders_once_and_files_below_them() -> None:
    shown = tree(["index.html", "css/site.css", "css/print.css", "js/a/b.js"])
    assert shown.splitlines() == [
        "  css/",
        "    print.css",
        "    site.css",
        "  index.html",
        "  js/",
        "    a/",
        "      b.js",
    ]


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"ADMIN_DATABASE_URL": "postgresql+asyncpg://a"}, "PROJECTS_DATABASE_URL is missing"),
        ({"PROJECTS_DATABASE_URL": "postgresql+asyncpg://a"}, "SANDBOX_DATABASE_URL is missing"),
        (
            {f"{name.upper()}_DATABASE_URL": "postgres://a" for name in URLS},
            "PROJECTS_DATABASE_URL must begin with postgresql+asyncpg://",
        ),
    ],
)
def test_a_database_of_ones_own_is_named_whole(
    known: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        settings_from(known)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err

"""The log of a sandbox: what goes in, what stays out, what is kept, how it is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sandboxes.control.journal import first_version, second_version
from local.sandboxes.errors import InvalidError
from local.sandboxes.logs import CommandLog, Level, Log
from local.sandboxes.process import Command, Ended


def shell(text: str, **options: Any) -> Command:
    chosen: dict[str, Any] = {"envs": {"KEY": "env-secret"}, "cwd": "", "user": "", **options}
    return Command("/bin/bash", ["-l", "-c", text], **chosen)


def messages(log: Log) -> list[str]:
    return [entry.message for entry in log]


def test_a_command_leaves_its_start_its_lines_and_its_end() -> None:
    log = Log()
    command = CommandLog(log, shell("make all", tag="build"), 7)
    command.output("stdout", b"one\ntw")
    command.output("stderr", b"oh\n")
    command.output("stdout", b"o\nno end of line")
    command.ended(Ended(2, exited=True, status="exit status 2"))
    assert [(one.level, one.message, one.fields.get("channel")) for one in log] == [
        (Level.INFO, "started: make all", None),
        (Level.INFO, "one", "stdout"),
        (Level.WARN, "oh", "stderr"),
        (Level.INFO, "two", "stdout"),
        (Level.INFO, "no end of line", "stdout"),
        (Level.WARN, "ended: exit status 2", None),
    ]
    assert all((one.fields["pid"], one.fields["tag"]) == ("7", "build") for one in log)
    assert list(log)[-1].fields["exit_code"] == "2"


def test_variables_passwords_and_terminals_stay_out() -> None:
    log = Log()
    text = "git clone https://ann:t0psecret@host/x; API_KEY=t0psecret go; printf 'password=t0psecret\\n'"
    CommandLog(log, shell(text), 7)
    CommandLog(log, shell("", terminal=(80, 24)), 8).output("pty", b"t0psecret\r\n")
    whole = json.dumps(first_version(log, {}))
    assert "t0psecret" not in whole
    assert "env-secret" not in whole
    assert "https://***@host/x" in whole


@pytest.mark.parametrize(
    "text",
    [
        "ANTHROPIC_API_KEY=t0psecret run",
        "export DB_PASSWORD='t0psecret t0psecret'",
        'AWS_SECRET_ACCESS_KEY="t0psecret" aws s3 ls',
        "GITHUB_TOKEN=t0psecret gh pr list",
        "mysql --password t0psecret db",
        "tool --api-key=t0psecret",
        "tool --auth-token t0psecret",
        "curl -H 'Authorization: Bearer t0psecret' http://host",
        "curl -H 'X-Api-Key: t0psecret' http://host",
        """curl -d '{"password": "t0psecret"}' http://host""",
    ],
)
def test_what_looks_like_a_password_is_masked(text: str) -> None:
    log = Log()
    CommandLog(log, shell(text), 7)
    (message,) = messages(log)
    assert "t0psecret" not in message
    assert "***" in message


def test_a_command_that_only_speaks_of_passwords_is_shown_whole() -> None:
    log = Log()
    CommandLog(log, shell("grep -r token src && pytest tests/test_password.py"), 7)
    assert messages(log) == ["started: grep -r token src && pytest tests/test_password.py"]


def test_long_lines_and_floods_are_cut_short() -> None:
    log = Log()
    command = CommandLog(log, shell("x" * 50_000), 7)
    for _ in range(10):
        command.output("stdout", b"y" * 32_768)
    command.output("stdout", b"\n")
    command.output("stdout", b"z\n" * 16_384 + b"tail")
    command.ended(Ended(0, exited=True, status="exit status 0"))
    kept = messages(log)
    assert max(len(message) for message in kept) < 1100
    assert kept.count("z") == 100
    assert kept[-3:] == ["32568 bytes of output were left out", "tail", "ended: exit status 0"]


def test_the_oldest_entries_go_when_there_are_too_many_or_they_are_too_large() -> None:
    log = Log(max_entries=3)
    for number in range(10):
        log.add(Level.INFO, str(number))
    assert messages(log) == ["7", "8", "9"]
    log = Log(max_bytes=10_000)
    for number in range(1000):
        log.add(Level.INFO, "x" * 1000, number=str(number))
    assert 1 <= len(list(log)) <= 10
    assert list(log)[-1].fields["number"] == "999"


def some(count: int) -> Log:
    log = Log()
    for number in range(count):
        log.add(Level(number % 4), f"entry {number}", number=str(number))
    return log


def numbers(answer: dict[str, Any]) -> list[int]:
    return [int(one["fields"]["number"]) for one in answer["logs"]]


def test_the_second_version_filters_orders_and_limits() -> None:
    log = some(8)
    assert numbers(second_version(log, {})) == list(range(8))
    assert numbers(second_version(log, {"direction": ["backward"], "limit": ["3"]})) == [7, 6, 5]
    assert numbers(second_version(log, {"level": ["warn"]})) == [2, 3, 6, 7]
    assert numbers(second_version(log, {"search": ["entry 5"]})) == [5]
    assert numbers(second_version(log, {"search": ["Entry"]})) == []
    assert numbers(second_version(log, {"limit": ["0"]})) == []
    assert numbers(second_version(some(1200), {})) == list(range(1000))


def test_a_cursor_starts_forward_and_ends_backward() -> None:
    log = some(4)
    later = str(int(list(log)[-1].at * 1000) + 1000)
    earlier = str(int(next(iter(log)).at * 1000) - 1000)
    assert numbers(second_version(log, {"cursor": [later]})) == []
    assert numbers(second_version(log, {"cursor": [earlier]})) == [0, 1, 2, 3]
    backward = {"direction": ["backward"]}
    assert numbers(second_version(log, {"cursor": [later], **backward})) == [3, 2, 1, 0]
    assert numbers(second_version(log, {"cursor": [earlier], **backward})) == []
    assert first_version(log, {"start": [later]}) == {"logs": [], "logEntries": []}


def test_the_first_version_has_lines_of_json_beside_the_entries() -> None:
    answer = first_version(some(3), {"limit": ["2"]})
    assert [json.loads(one["line"])["message"] for one in answer["logs"]] == ["entry 0", "entry 1"]
    assert [one["level"] for one in answer["logEntries"]] == ["debug", "info"]
    assert all(one["timestamp"].endswith("Z") for one in answer["logs"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "many"),
        ("limit", "9" * 5000),
        ("cursor", "yesterday"),
        ("cursor", "9" * 18),
        ("direction", "sideways"),
        ("level", "loud"),
    ],
)
def test_a_bad_query_names_its_parameter(name: str, value: str) -> None:
    with pytest.raises(InvalidError, match=f"^{name}: "):
        second_version(Log(), {name: [value]})

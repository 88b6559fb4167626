"""Every bad input is a 4xx that names the field, and changes nothing."""

# ruff: noqa: E501 - a table is read by its columns

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack.client import Client
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import new_project, signed_in

pytestmark = pytest.mark.xdist_group("stack")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """A request and what its answer has to say."""

    name: str
    method: str
    path: str
    status: int
    field: str
    says: str = ""
    json: Any = None
    content: bytes | None = None
    content_type: str = "application/json"


P = "/api/projects/{project}"
CASES = [
    Bad("empty prompt", "POST", "/api/generate", 400, "prompt", "blank", json={"projectId": "{project}", "prompt": ""}),
    Bad("no prompt", "POST", "/api/generate", 400, "prompt", "blank", json={"projectId": "{project}"}),
    Bad("blank prompt", "POST", "/api/generate", 400, "prompt", "blank", json={"projectId": "{project}", "prompt": " \n"}),
    Bad("100 kB prompt", "POST", "/api/generate", 400, "prompt", "32768", json={"projectId": "{project}", "prompt": "x" * 100_000}),
    Bad("NUL in a prompt", "POST", "/api/generate", 400, "prompt", "NUL", json={"projectId": "{project}", "prompt": "a\x00b"}),
    Bad("no project", "POST", "/api/generate", 400, "projectId", json={"prompt": "a page"}),
    Bad("unknown project", "POST", "/api/generate", 404, "", "project", json={"projectId": "prj-x", "prompt": "a page"}),
    Bad("bad e-mail", "POST", "/api/auth/register", 400, "email", json={"email": "nobody", "password": "a long password"}),
    Bad("short password", "POST", "/api/auth/register", 400, "password", "10", json={"email": "a@example.com", "password": "short"}),
    Bad("wrong JSON type", "POST", "/api/projects", 400, "name", json={"name": 7}),
    Bad("list for an object", "POST", "/api/projects", 400, "", json=["name"]),
    Bad("unknown field", "POST", "/api/projects", 400, "nmae", json={"nmae": "x", "name": "y"}),
    Bad("broken JSON", "POST", "/api/projects", 400, "", content=b'{"name": "x"'),
    Bad("not UTF-8", "POST", "/api/projects", 400, "", content=b'{"name": "\xff"}'),
    Bad("blank name", "POST", "/api/projects", 400, "name", "blank", json={"name": "  "}),
    Bad("long name", "POST", "/api/projects", 400, "name", "100", json={"name": "x" * 101}),
    Bad("control character", "POST", "/api/projects", 400, "name", "control", json={"name": "a\x01"}),
    Bad("wrong content type", "POST", "/api/projects", 415, "", content=b"name=x", content_type="application/x-www-form-urlencoded"),
    Bad("too large a body", "POST", "/api/projects", 413, "", content=b'{"name": "' + b"x" * 2 * MIB + b'"}'),
    Bad("unknown query parameter", "GET", "/api/projects?pagesize=3", 400, "pagesize"),
    Bad("negative page size", "GET", "/api/projects?pageSize=-1", 400, "pageSize", "0"),
    Bad("word for a number", "GET", "/api/projects?pageSize=many", 400, "pageSize"),
    Bad("foreign page token", "GET", "/api/projects?pageToken=abc", 400, "pageToken"),
    Bad("path with ..", "PUT", P + "/sandbox/files/a/%2E%2E/b.txt", 400, "path", "..", content=b"x"),
    Bad("path that begins with ..", "PUT", P + "/sandbox/files/%2E%2E/b.txt", 400, "path", "..", content=b"x"),
    Bad("absolute path", "PUT", P + "/sandbox/files//etc/passwd", 400, "path", "relative", content=b"x"),
    Bad("NUL in a path", "PUT", P + "/sandbox/files/a%00b", 400, "path", content=b"x"),
    Bad("backslash in a path", "PUT", P + "/sandbox/files/a%5Cb", 400, "path", "backslash", content=b"x"),
    Bad("long path", "PUT", P + "/sandbox/files/" + "x/" * 600 + "y", 400, "path", "1024", content=b"x"),
    Bad("file over the limit", "PUT", P + "/sandbox/files/big.bin", 400, "path", str(10 * MIB), content=b"x" * (10 * MIB + 1)),
    Bad("unknown route", "GET", "/api/nothing", 404, ""),
    Bad("wrong method", "DELETE", "/api/projects", 405, ""),
]  # fmt: skip


def _filled(value: Any, project: str) -> Any:
    if isinstance(value, str):
        return value.replace("{project}", project)
    if isinstance(value, dict):
        return {key: _filled(inner, project) for key, inner in value.items()}
    return value


async def _send(client: Client, api: str, bad: Bad, project: str) -> httpx.Response:
    headers = {"Authorization": client.authorization}
    if bad.content is not None and bad.method == "POST":
        headers["Content-Type"] = bad.content_type
    body: dict[str, Any] = {"content": bad.content} if bad.content is not None else {}
    if bad.json is not None:
        body = {"json": _filled(bad.json, project)}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        # Built by hand: a client would tidy dots out of the path.
        url = httpx.URL(api).copy_with(raw_path=_filled(bad.path, project).encode())
        return await http.request(bad.method, url, headers=headers, **body)


async def _state(client: Client, project: str) -> list[Any]:
    """What a bad input must leave as it is."""
    return [
        await client.call("GET", path)
        for path in (
            "/api/projects",
            f"/api/projects/{project}/files",
            f"/api/projects/{project}/generations",
            f"/api/projects/{project}/versions",
            "/api/auth/me",
        )
    ]


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
async def test_a_bad_input_is_named_and_changes_nothing(stack: RunningStack, bad: Bad) -> None:
    async with signed_in(stack.api) as client:
        project = await new_project(client)
        before = await _state(client, project)
        answer = await _send(client, stack.api, bad, project)
        assert answer.status_code == bad.status, answer.text
        status = answer.json()
        assert status["message"]
        assert bad.says in answer.text
        assert "ErrorInfo" in answer.text
        if bad.field:
            violations = [
                violation["field"]
                for detail in status["details"]
                for violation in detail.get("fieldViolations", [])
            ]
            assert bad.field in violations
        assert await _state(client, project) == before

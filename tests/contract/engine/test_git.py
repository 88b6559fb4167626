"""Git, as both flavours of the SDK drive it on repositories inside a sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from e2b import GitAuthException, GitUpstreamException

ANN = {"author_name": "Ann", "author_email": "ann@example.com"}

# A smart HTTP remote that wants a password, as hosted ones do.
SERVER = """
import base64, http.server, os, subprocess

WANTED = "Basic " + base64.b64encode(b"ann:s3cret").decode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers["Authorization"] != WANTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env={
            **os.environ, "GIT_PROJECT_ROOT": "/home/user", "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "", "REMOTE_USER": "ann",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
        })
        head, _, content = done.stdout.partition(b"\\r\\n\\r\\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


async def commit(box: Any, repository: str, name: str, text: str) -> None:
    await box.files.write(f"{repository}/{name}", text)
    await box.git.add(repository)
    await box.git.commit(repository, f"put {name}", **ANN)


async def a_repository(box: Any, path: str = "repo") -> str:
    await box.git.init(path, initial_branch="main")
    await commit(box, path, "a.txt", "one")
    return path


async def a_remote(box: Any, path: str = "remote.git") -> str:
    """A bare repository inside, and its absolute path."""
    await box.git.init(path, bare=True, initial_branch="main")
    return f"/home/user/{path}"


async def subjects(box: Any, repository: str) -> list[str]:
    log = await box.commands.run(f"git -C {repository} log --format=%s")
    return list(log.stdout.splitlines())


async def test_a_new_repository_shows_what_is_staged_and_what_is_not(box: Any) -> None:
    await box.git.init("repo", initial_branch="main")
    for name in ("a.txt", "b.txt"):
        await box.files.write(f"repo/{name}", "x")
    fresh = await box.git.status("repo")
    assert (fresh.current_branch, fresh.is_clean, fresh.detached) == ("main", False, False)
    assert {one.name: one.status for one in fresh.file_status} == {
        "a.txt": "untracked",
        "b.txt": "untracked",
    }
    await box.git.add("repo", files=["a.txt"])
    staged = {one.name: one.staged for one in (await box.git.status("repo")).file_status}
    assert staged == {"a.txt": True, "b.txt": False}
    await box.git.add("repo", all=True)
    await box.git.commit("repo", 'quotes "and" $signs', **ANN)
    assert (await box.git.status("repo")).is_clean
    shown = await box.commands.run("git -C repo log --format='%an <%ae> %s'")
    assert shown.stdout == 'Ann <ann@example.com> quotes "and" $signs\n'
    await box.git.commit("repo", "nothing new", allow_empty=True, **ANN)
    assert (await subjects(box, "repo"))[0] == "nothing new"


async def test_branches_are_made_listed_changed_to_and_deleted(box: Any) -> None:
    repo = await a_repository(box)
    await box.git.create_branch(repo, "feature")
    found = await box.git.branches(repo)
    assert (found.current_branch, sorted(found.branches)) == ("feature", ["feature", "main"])
    await commit(box, repo, "b.txt", "two")
    await box.git.checkout_branch(repo, "main")
    assert not await box.files.exists(f"{repo}/b.txt")
    await box.git.delete_branch(repo, "feature", force=True)
    assert (await box.git.branches(repo)).branches == ["main"]


async def test_reset_and_restore_bring_back_what_was(box: Any) -> None:
    repo = await a_repository(box)
    await box.files.write(f"{repo}/a.txt", "changed")
    await box.git.add(repo)
    await box.git.restore(repo, ["a.txt"], staged=True)
    (unstaged,) = (await box.git.status(repo)).file_status
    assert (unstaged.name, unstaged.status, unstaged.staged) == ("a.txt", "modified", False)
    await box.git.restore(repo, ["a.txt"])
    assert await box.files.read(f"{repo}/a.txt") == "one"
    await commit(box, repo, "a.txt", "two")
    await box.git.restore(repo, ["a.txt"], source="HEAD~1")
    assert await box.files.read(f"{repo}/a.txt") == "one"
    await box.git.reset(repo, mode="hard")
    assert await box.files.read(f"{repo}/a.txt") == "two"
    await box.git.reset(repo, mode="hard", target="HEAD~1")
    assert await box.files.read(f"{repo}/a.txt") == "one"
    await box.files.write(f"{repo}/a.txt", "three")
    await box.git.add(repo)
    await box.git.reset(repo, paths=["a.txt"])
    assert not (await box.git.status(repo)).has_staged


async def test_commits_travel_between_repositories(box: Any) -> None:
    repo, remote = await a_repository(box), await a_remote(box)
    await box.git.remote_add(repo, "origin", remote)
    assert await box.git.remote_get(repo, "origin") == remote
    assert await box.git.remote_get(repo, "nobody") is None
    await box.git.push(repo, remote="origin", branch="main")
    await box.git.clone(remote, path="clone")
    await box.git.clone(remote, path="shallow", branch="main", depth=1)
    assert await box.files.read("clone/a.txt") == "one"
    await commit(box, repo, "b.txt", "two")
    ahead = await box.git.status(repo)
    assert (ahead.upstream, ahead.ahead, ahead.behind) == ("origin/main", 1, 0)
    await box.git.push(repo)
    await box.git.pull("clone")
    assert await box.files.read("clone/b.txt") == "two"
    assert await subjects(box, "clone") == await subjects(box, repo)
    await box.git.pull("shallow", remote="origin", branch="main")
    assert await box.files.read("shallow/b.txt") == "two"
    other = await a_remote(box, "other.git")
    await box.git.remote_add(repo, "origin", other, overwrite=True)
    assert await box.git.remote_get(repo, "origin") == other


async def test_without_an_upstream_it_is_said_so(box: Any) -> None:
    repo, remote = await a_repository(box), await a_remote(box)
    await box.git.remote_add(repo, "origin", remote)
    with pytest.raises(GitUpstreamException):
        await box.git.push(repo, set_upstream=False)
    with pytest.raises(GitUpstreamException):
        await box.git.pull(repo)


async def test_a_remote_that_wants_a_password_gets_it_and_nobody_keeps_it(box: Any) -> None:
    remote = await a_remote(box)
    await box.commands.run(f"git -C {remote} config http.receivepack true")
    await box.files.write("server.py", SERVER)
    await box.commands.run("python3 server.py", background=True)
    url = "http://127.0.0.1:8080/remote.git"
    await box.commands.run(f"until curl -s {url}; do sleep 0.05; done", timeout=30)
    repo = await a_repository(box)
    await box.git.remote_add(repo, "origin", url)
    right = {"username": "ann", "password": "s3cret"}
    with pytest.raises(GitAuthException):
        await box.git.push(repo, remote="origin", branch="main")
    with pytest.raises(GitAuthException):
        await box.git.clone(url, path="denied", username="ann", password="wrong")
    await box.git.push(repo, remote="origin", branch="main", **right)
    await box.git.clone(url, path="clone", **right)
    assert await box.files.read("clone/a.txt") == "one"
    await commit(box, repo, "b.txt", "two")
    await box.git.push(repo, **right)
    await box.git.pull("clone", **right)
    assert await box.files.read("clone/b.txt") == "two"
    for path in (repo, "clone"):
        assert "s3cret" not in await box.files.read(f"{path}/.git/config")
    await box.git.dangerously_authenticate("ann", "s3cret", host="127.0.0.1:8080", protocol="http")
    await box.git.clone(url, path="trusted")
    assert await box.files.read("trusted/b.txt") == "two"


async def test_settings_live_where_they_are_put(box: Any) -> None:
    repo = await a_repository(box)
    await box.git.set_config("pull.rebase", "false")
    assert await box.git.get_config("pull.rebase") == "false"
    await box.git.set_config("core.editor", "true", scope="local", path=repo)
    assert await box.git.get_config("core.editor", scope="local", path=repo) == "true"
    assert await box.git.get_config("core.editor") is None
    await box.git.configure_user("Bob", "bob@example.com")
    await box.git.configure_user("Eve", "eve@example.com", scope="local", path=repo)
    assert await box.git.get_config("user.name") == "Bob"
    assert await box.git.get_config("user.email", scope="local", path=repo) == "eve@example.com"
    await box.git.commit(repo, "by Eve", allow_empty=True)
    shown = await box.commands.run(f"git -C {repo} log -1 --format=%an")
    assert shown.stdout == "Eve\n"

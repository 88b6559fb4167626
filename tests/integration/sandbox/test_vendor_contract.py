"""What the service may expect of a vendor: the same of the real SDK with the real engine, and of the fake."""

from __future__ import annotations

import asyncio
import hashlib
import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

import pytest

from kit.testing import eventually
from services.sandbox.e2b_vendor import E2bAccess, E2bVendor
from services.sandbox.model import Content, Kind
from services.sandbox.vendor import (
    PathMissing,
    PathUnfit,
    SandboxLost,
    SandboxVendor,
    Upload,
    VendorSandbox,
)
from tests.fakes.sandbox_vendor import FakeVendor

HOME = "/home/user"


@pytest.fixture(params=["e2b", "fake"])
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[SandboxVendor]:
    if request.param == "fake":
        yield FakeVendor()
        return
    url = request.getfixturevalue("engine").url
    found = E2bVendor(E2bAccess("local", url, url, "", "base", 30))
    yield found
    await found.close()


@pytest.fixture
async def labels() -> dict[str, str]:
    return {"sandwright_deployment": f"contract-{secrets.token_hex(6)}", "of": "one & two/3"}


@pytest.fixture
async def live(vendor: SandboxVendor, labels: dict[str, str]) -> AsyncIterator[VendorSandbox]:
    made = await vendor.create(labels, 300, secrets.token_hex(8))
    yield made
    await vendor.kill(made.vendor_id)


def upload(path: str, data: bytes) -> Upload:
    return Upload(path, Content(io.BytesIO(data), len(data)))


async def content(live: VendorSandbox, path: str) -> bytes:
    async with aclosing(await live.read(path)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_what_is_created_is_found_by_its_labels_and_gone_after_its_end(
    vendor: SandboxVendor, live: VendorSandbox, labels: dict[str, str]
) -> None:
    listed = await vendor.list({"sandwright_deployment": labels["sandwright_deployment"]})
    assert [(one.vendor_id, one.labels) for one in listed] == [(live.vendor_id, labels)]
    assert await vendor.list({"sandwright_deployment": "another"}) == []
    assert await vendor.exists(live.vendor_id)
    await vendor.kill(live.vendor_id)
    await vendor.kill(live.vendor_id)
    assert not await vendor.exists(live.vendor_id)
    assert await vendor.list(labels) == []
    with pytest.raises(SandboxLost):
        await vendor.connect(live.vendor_id)


async def test_every_use_of_a_sandbox_that_ended_says_that_it_is_lost(
    vendor: SandboxVendor, live: VendorSandbox
) -> None:
    await live.make_folder(f"{HOME}/d")
    await vendor.kill(live.vendor_id)
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: live.write([upload(f"{HOME}/a", b"x")]),
        lambda: live.write([upload(f"{HOME}/a", b"x" * 2_000_000)]),
        lambda: live.rename(f"{HOME}/a", f"{HOME}/b"),
        lambda: live.remove(f"{HOME}/a"),
        lambda: live.make_folder(f"{HOME}/c"),
        lambda: live.read(f"{HOME}/a"),
        lambda: live.list(HOME, 1),
        lambda: live.hashes(f"{HOME}/d"),
        lambda: live.start("true"),
        lambda: live.metrics(),
    ]
    for use in uses:
        with pytest.raises(SandboxLost):
            await use()
    assert not await live.preview_answers("v1")


async def test_files_come_back_as_they_were_written(live: VendorSandbox) -> None:
    files = {
        f"{HOME}/small.txt": b"small",
        f"{HOME}/empty": b"",
        f"{HOME}/a/b/c/deep.bin": bytes(range(256)),
        f"{HOME}/large.bin": secrets.token_bytes(3_000_000),
        f'{HOME}/odd "q" %41 \u00e9.txt': b"odd",
    }
    await live.write([upload(path, data) for path, data in files.items()])
    for path, data in files.items():
        assert await content(live, path) == data
    hashes = await live.hashes(HOME)
    for path, data in files.items():
        assert hashes[path] == hashlib.sha256(data).hexdigest()


async def test_many_small_files_are_written_at_once(live: VendorSandbox) -> None:
    files = {f"{HOME}/many/{number}.txt": str(number).encode() for number in range(250)}
    await live.write([upload(path, data) for path, data in files.items()])
    assert len(await live.hashes(f"{HOME}/many")) == 250


async def test_a_rename_replaces_and_makes_folders(live: VendorSandbox) -> None:
    await live.write([upload(f"{HOME}/new", b"new"), upload(f"{HOME}/x/old", b"old")])
    await live.rename(f"{HOME}/new", f"{HOME}/x/old")
    assert await content(live, f"{HOME}/x/old") == b"new"
    await live.rename(f"{HOME}/x/old", f"{HOME}/y/z/moved")
    assert await content(live, f"{HOME}/y/z/moved") == b"new"
    with pytest.raises(PathMissing):
        await live.rename(f"{HOME}/new", f"{HOME}/other")


async def test_what_is_in_the_way_is_told(live: VendorSandbox) -> None:
    await live.make_folder(f"{HOME}/folder")
    await live.make_folder(f"{HOME}/folder")
    await live.write([upload(f"{HOME}/folder/in", b""), upload(f"{HOME}/file", b"x")])
    with pytest.raises(PathUnfit):
        await live.rename(f"{HOME}/file", f"{HOME}/folder")
    with pytest.raises(PathUnfit):
        await live.rename(f"{HOME}/folder/in", f"{HOME}/file/below")
    with pytest.raises(PathUnfit):
        await live.read(f"{HOME}/folder")
    with pytest.raises(PathUnfit):
        await live.list(f"{HOME}/file", 1)
    with pytest.raises(PathMissing):
        await live.read(f"{HOME}/nothing")
    with pytest.raises(PathMissing):
        await live.list(f"{HOME}/nothing", 1)


async def test_removing_takes_folders_along_and_is_content_with_nothing(
    live: VendorSandbox,
) -> None:
    await live.write([upload(f"{HOME}/d/one", b"1"), upload(f"{HOME}/d/e/two", b"2")])
    await live.remove(f"{HOME}/d")
    await live.remove(f"{HOME}/d")
    with pytest.raises(PathMissing):
        await live.list(f"{HOME}/d", 1)


async def test_a_listing_has_as_many_levels_as_asked_for(live: VendorSandbox) -> None:
    await live.write([upload(f"{HOME}/l/a/b/c.txt", b"123")])
    one = {entry.path: entry for entry in await live.list(f"{HOME}/l", 1)}
    assert set(one) == {f"{HOME}/l/a"}
    assert one[f"{HOME}/l/a"].kind is Kind.DIRECTORY
    everything = {entry.path: entry for entry in await live.list(f"{HOME}/l", 520)}
    assert set(everything) == {f"{HOME}/l/a", f"{HOME}/l/a/b", f"{HOME}/l/a/b/c.txt"}
    file = everything[f"{HOME}/l/a/b/c.txt"]
    assert (file.kind, file.size_bytes) == (Kind.FILE, 3)


async def test_the_preview_answers_once_a_server_listens(
    vendor: SandboxVendor, live: VendorSandbox
) -> None:
    assert not await live.preview_answers("v1")
    await live.write([upload(f"{HOME}/s/__sandwright/health", b"ok v1\n")])
    await live.start(f"cd {HOME}/s && exec python3 -m http.server 8000 # v1")
    assert await eventually(partial(live.preview_answers, "v1"))
    assert not await live.preview_answers("v2")
    assert live.url.startswith("http://8000-")
    assert await (await vendor.connect(live.vendor_id)).preview_answers("v1")


async def test_metrics_tell_what_there_is(live: VendorSandbox) -> None:
    metrics = await live.metrics()
    assert metrics.cpu_count > 0
    assert metrics.memory_total > 0


async def test_hashes_and_scans_leave_out_what_is_ignored(live: VendorSandbox) -> None:
    paths = ["a.txt", "sub/b \u00e9.txt", "node_modules/x/y.js", "sub/node_modules/z.js", "x.pyc"]
    await live.write([upload(f"{HOME}/d/{path}", path.encode()) for path in paths])
    kept = {f"{HOME}/d/{path}": path for path in paths[:2]}
    ignored = ("node_modules", "x.pyc")
    hashed = await live.hashes(f"{HOME}/d", ignored)
    assert hashed == {p: hashlib.sha256(c.encode()).hexdigest() for p, c in kept.items()}
    scan = await live.scan(f"{HOME}/d", ignored)
    assert scan.complete
    assert {p: s.size_bytes for p, s in scan.files.items()} == {
        p: len(c.encode()) for p, c in kept.items()
    }
    assert await live.hashes_of(sorted([*kept, f"{HOME}/missing"])) == hashed
    assert await live.hashes_of([]) == {}
    with pytest.raises(PathMissing):
        await live.scan(f"{HOME}/nowhere")
    with pytest.raises(PathMissing):
        await live.hashes(f"{HOME}/nowhere")


async def test_a_scan_marks_what_may_have_changed(live: VendorSandbox) -> None:
    await live.write([upload(f"{HOME}/d/{name}", b"one") for name in ("a", "b")])
    before = (await live.scan(f"{HOME}/d")).files
    await live.write([upload(f"{HOME}/d/a", b"two")])
    after = (await live.scan(f"{HOME}/d")).files
    assert after[f"{HOME}/d/a"].mark != before[f"{HOME}/d/a"].mark
    assert after[f"{HOME}/d/b"].mark == before[f"{HOME}/d/b"].mark


async def test_many_long_paths_are_hashed(live: VendorSandbox) -> None:
    paths = [f"{HOME}/d/{'n' * 200}{number}" for number in range(700)]
    await live.write([upload(path, b"x") for path in paths])
    assert set(await live.hashes_of(paths)) == set(paths)


async def test_a_watch_tells_that_something_happened_and_that_it_is_over(
    vendor: SandboxVendor, live: VendorSandbox
) -> None:
    await live.make_folder(f"{HOME}/d")
    with pytest.raises(PathMissing):
        await live.watch(f"{HOME}/nowhere", lambda _: True)
    watch = await live.watch(f"{HOME}/d", lambda path: path != "quiet")
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: live.write([upload(f"{HOME}/d/a", b"x")]),
        lambda: live.write([upload(f"{HOME}/d/new/deep/b", b"x")]),
        lambda: live.rename(f"{HOME}/d/a", f"{HOME}/d/c"),
        lambda: live.remove(f"{HOME}/d/c"),
    ]
    for use in uses:
        watch.changed.clear()
        await use()
        await asyncio.wait_for(watch.changed.wait(), 10)
    assert not watch.over.is_set()
    await vendor.kill(live.vendor_id)
    await asyncio.wait_for(watch.over.wait(), 10)
    await watch.stop()

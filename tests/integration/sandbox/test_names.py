"""Names that are rare and allowed: the same file in the store, in the sandbox, in an archive and back."""

from __future__ import annotations

import io
import json
import shlex
import unicodedata
import zipfile

import pytest

from kit.errors import Invalid, NotFound
from services.sandbox.model import SITE
from services.sandbox.service.syncing import Syncing
from tests.fixtures.sandbox_files import BothSides, hashes

LONGEST_SEGMENT = "é" * 127 + "x"
LONGEST_PATH = "/".join(["a" * 255, "b" * 255, "c" * 255, "d" * 254, "e"])
DEEPEST_PATH = "d/" * 32 + "e"
ODD = [
    "日本語/🎈 çà.html",
    " a space before, one after ",
    "-rf",
    "--help/-n",
    ".env",
    ".well-known/...",
    "~root/~x",
    "*?[x]{a,b}.txt",
    '\'$(echo x)`y` "z";&|<>.txt',
    "100%41%2F%2e#a?b=c.html",
    "ab:c",
    "CON",
    "ﬁ\u200b\u202e.txt",
    LONGEST_SEGMENT,
    LONGEST_PATH,
    DEEPEST_PATH,
]
"""Each is allowed by the rules for paths, and means something to a shell, a URL, a file system or a reader."""
TWINS = [
    "Twin.txt",
    "twin.txt",
    unicodedata.normalize("NFC", "café.txt"),
    unicodedata.normalize("NFD", "café.txt"),
]
"""Two files each, to Linux and to the store."""


def _contents(paths: list[str]) -> dict[str, bytes]:
    return {path: f"{number}: {path}".encode() for number, path in enumerate(paths)}


def _syncing(project: BothSides) -> Syncing:
    return project.service.parts.syncing


async def _make_inside(project: BothSides, files: dict[str, bytes]) -> None:
    """A program inside writes these files: what a shell would take apart goes to it as JSON."""
    told = shlex.quote(json.dumps({path: data.decode() for path, data in files.items()}))
    program = (
        "import json, pathlib, sys\n"
        "for name, text in json.loads(sys.argv[1]).items():\n"
        f"    path = pathlib.Path({SITE!r}, name)\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text(text)\n"
    )
    await project.run(f"python3 -c {shlex.quote(program)} {told}")


async def test_uploaded_files_of_odd_names_are_the_same_everywhere_and_go_by_their_names(
    both_sides: BothSides,
) -> None:
    own, project_id = both_sides.own, both_sides.id
    files = _contents(ODD + TWINS)
    for path, data in files.items():
        assert (await own.upload(project_id, path, data)).path == path
    assert await both_sides.stored() == await both_sides.inside() == hashes(files)
    assert files.keys() <= (await own.list(project_id)).keys()
    for path, data in files.items():
        assert await own.read(project_id, path) == data
    pieces = await own.download_archive(project_id)
    with zipfile.ZipFile(io.BytesIO(b"".join(piece.data for piece in pieces))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    for path in files:
        await own.delete(project_id, path)
    assert await both_sides.stored() == await both_sides.inside() == {}


async def test_files_of_odd_names_that_are_made_inside_reach_the_store(
    both_sides: BothSides,
) -> None:
    await both_sides.own.create(both_sides.id)
    files = _contents(ODD + TWINS)
    await _make_inside(both_sides, files)
    sandbox = await both_sides.service.parts.lifecycle.get(both_sides.id, both_sides.user.user_id)
    assert await _syncing(both_sides).sync(sandbox)
    assert await both_sides.stored() == hashes(files)


async def test_an_archive_of_odd_names_is_unpacked_under_the_same_names(
    both_sides: BothSides,
) -> None:
    files = _contents(ODD)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    await both_sides.own.upload_archive(both_sides.id, buffer.getvalue())
    assert await both_sides.stored() == await both_sides.inside() == hashes(files)


ONE_OVER = {
    "a trailing slash": ("a/", "empty segment"),
    "a segment of 256 bytes": ("é" * 128, "255"),
    "a path of 1,025 bytes": (LONGEST_PATH + "e", "1024"),
    "a file in 33 folders": ("d/" + DEEPEST_PATH, "32"),
}


@pytest.mark.parametrize("case", ONE_OVER)
async def test_a_name_one_over_a_limit_is_refused_by_rule_and_changes_nothing(
    both_sides: BothSides, case: str
) -> None:
    path, says = ONE_OVER[case]
    own, project_id = both_sides.own, both_sides.id
    for use in (
        own.upload(project_id, path, b"x"),
        own.read(project_id, path),
        own.delete(project_id, path),
        own.download_archive(project_id, path),
        own.upload_archive(project_id, b"", path),
    ):
        with pytest.raises(Invalid) as found:
            await use
        assert [violation.field for violation in found.value.violations] == ["path"]
        assert says in found.value.message
    assert await both_sides.service.at_vendor() == set()


async def test_a_folder_to_be_listed_is_named_in_at_most_1024_bytes_and_10_levels(
    both_sides: BothSides,
) -> None:
    own, project_id = both_sides.own, both_sides.id
    await own.upload(project_id, LONGEST_PATH, b"x")
    assert set(await own.list(project_id, LONGEST_PATH.rpartition("/")[0])) == {LONGEST_PATH}
    assert LONGEST_PATH in await own.list(project_id, depth=10)
    with pytest.raises(NotFound):
        await own.list(project_id, "x/" * 511 + "xx")
    for path, depth, field, limit in (
        ("x/" * 512 + "x", 0, "path", "1024"),
        ("x" * 256, 0, "path", "255"),
        ("", 11, "depth", "10"),
        ("", -1, "depth", "0"),
    ):
        with pytest.raises(Invalid) as found:
            await own.list(project_id, path, depth)
        assert [violation.field for violation in found.value.violations] == [field]
        assert limit in found.value.message

"""Archives that lie, and archives that don't."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest

from kit.errors import Invalid, QuotaExceeded
from services.sandbox.service.unpacking import ArchiveLimits, Unpacking

LIMITS = ArchiveLimits(archive_bytes=100_000, files=5, file_bytes=20_000, total_bytes=50_000)
Change = Callable[[zipfile.ZipInfo], None]


def zipped(files: dict[str, bytes], change: Change | None = None) -> bytes:
    """An archive; ``change`` does something to each entry before it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(entry)
            archive.writestr(entry, data)
    return buffer.getvalue()


def unpacked(archive: bytes, folder: str = "", limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    """Contents by path."""
    with Unpacking(limits) as unpacking:
        for begin in range(0, len(archive), 7_000):
            unpacking.accept(archive[begin : begin + 7_000])
        steps = unpacking.unpack(folder)
        return {one.path: one.content.piece(0, one.content.size) for one in steps}


def refusal(archive: bytes, limits: ArchiveLimits = LIMITS) -> Invalid:
    """Why an archive is refused; the field that is named is always its content."""
    with pytest.raises(Invalid) as found:
        unpacked(archive, limits=limits)
    assert [one.field for one in found.value.violations] == ["content"]
    return found.value


def mode(value: int) -> Change:
    def change(entry: zipfile.ZipInfo) -> None:
        entry.create_system, entry.external_attr = 3, value << 16

    return change


def patched(archive: bytes, local: int, central: int, data: bytes) -> bytes:
    """Bytes at this distance from the first local and from the first central header replaced."""
    found = bytearray(archive)
    if local >= 0:
        found[local : local + len(data)] = data
    at = found.index(b"PK\x01\x02") + central
    found[at : at + len(data)] = data
    return bytes(found)


def test_files_come_out_as_they_went_in_below_the_folder() -> None:
    files = {
        "index.html": b"<p>",
        "a b/\u00e9%20.bin": bytes(range(256)),
        "empty": b"",
        "x.zip": zipped({"i": b"i"}),
    }
    assert unpacked(zipped(files)) == files
    below = {f"docs/v1/{path}": data for path, data in files.items()}
    assert unpacked(zipped(files), "docs/v1") == below


def test_a_single_folder_at_the_top_is_kept() -> None:
    files = {"site/index.html": b"1", "site/css/a.css": b"2"}
    assert unpacked(zipped({"site/": b"", "site/css/": b"", **files})) == files


def test_what_macos_adds_is_left_out() -> None:
    litter = {"__MACOSX/._a": b"x", "__MACOSX/": b"", ".DS_Store": b"x", "d/.DS_Store": b"x"}
    assert unpacked(zipped({"a": b"a", **litter})) == {"a": b"a"}


def test_an_archive_that_was_streamed_with_sizes_behind_the_files_is_read() -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: object) -> int:
            piece = bytes(data)  # type: ignore[call-overload]  # zipfile writes nothing but bytes
            self.data += piece
            return len(piece)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("big", "w", force_zip64=True) as file:
            file.write(b"x" * 10_000)
        archive.writestr("small", b"y")
    assert unpacked(out.data) == {"big": b"x" * 10_000, "small": b"y"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../out", "'..'"),
        ("a/../../out", "'..'"),
        ("/etc/passwd", "relative"),
        ("//host/share", "relative"),
        ("a\\b", "backslash"),
        ("..\\out", "backslash"),
        ("C:/windows", "drive"),
        ("c:x", "drive"),
        ("a//b", "empty segment"),
        ("./a", "'.'"),
        ("a\nb", "control character"),
        ("n" * 256, "255 bytes"),
        ("d/" * 40 + "x", "32 folders"),
        ("../folder/", "'..'"),
    ],
)
def test_a_path_that_no_file_of_a_project_has_is_refused(name: str, says: str) -> None:
    found = refusal(zipped({"good": b"x", name: b""}))
    assert says in found.message
    assert "the entry" in found.message
    assert found.message.isprintable()


def test_a_path_with_nul_is_refused() -> None:
    found = refusal(zipped({"aXb": b"x"}).replace(b"aXb", b"a\0b"))
    assert "'a?b'" in found.message


def test_an_entry_without_a_name_is_refused() -> None:
    archive = zipped({"a": b"x"}).replace(b"\x01\x00\x00\x00a", b"\x00\x00\x00\x00")
    refusal(archive)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (stat.S_IFLNK | 0o777, "is a link"),
        (stat.S_IFCHR | 0o666, "is a device"),
        (stat.S_IFBLK | 0o666, "is a device"),
        (stat.S_IFIFO | 0o666, "is a device, a pipe"),
        (stat.S_IFSOCK | 0o666, "socket"),
        (stat.S_IFDIR | 0o755, "folder"),
    ],
)
def test_what_is_no_file_is_refused(kind: int, says: str) -> None:
    assert says in refusal(zipped({"thing": b"/etc/passwd"}, mode(kind))).message


@pytest.mark.parametrize(
    "names", [("a", "a"), ("A.txt", "a.TXT"), ("\u00e9", "e\u0301"), ("D/x", "d/X")]
)
def test_names_that_some_machine_takes_for_one_are_refused(names: tuple[str, str]) -> None:
    first, second = names
    archive = zipped({"1": b"x", "2": b"y"})
    if len(first.encode()) == len(second.encode()) == 1:
        archive = archive.replace(b"2", b"1")
        first = second = "1"
    else:
        archive = zipped({first: b"x", second: b"y"})
    assert f"'{first}' and '{second}'" in refusal(archive).message


def test_a_file_can_not_be_a_folder_too() -> None:
    assert "can't lie in 'a'" in refusal(zipped({"a": b"x", "A/b": b"y"})).message


def test_an_encrypted_entry_is_refused() -> None:
    assert "'a' is encrypted" in refusal(patched(zipped({"a": b"x"}), 6, 8, b"\x01\x00")).message


@pytest.mark.parametrize("method", [12, 14, 93, 97, 99])
def test_an_unusual_compression_is_refused(method: int) -> None:
    archive = patched(zipped({"a": b"x"}), 8, 10, struct.pack("<H", method))
    assert "not supported" in refusal(archive).message


def test_a_wrong_checksum_is_refused() -> None:
    archive = patched(zipped({"a": b"content"}), 14, 16, b"\1\2\3\4")
    assert "'a' is damaged" in refusal(archive).message


@pytest.mark.parametrize("told", [5, 19_000])
def test_a_size_that_is_not_true_is_refused(told: int) -> None:
    archive = patched(zipped({"a": b"x" * 10_000}), 22, 24, struct.pack("<I", told))
    assert "'a' is" in refusal(archive).message


def test_a_small_size_does_not_hide_a_large_file() -> None:
    bomb = zipped({"a": b"\0" * 5_000_000})
    archive = patched(bomb, 22, 24, struct.pack("<I", 20_000))
    archive = patched(archive, 14, 16, struct.pack("<I", zlib.crc32(b"\0" * 20_000)))
    # What is told is all that is ever unpacked, and it is a file within the limits: nothing else comes of it.
    assert unpacked(archive) == {"a": b"\0" * 20_000}
    assert refusal(bomb).reason == "FILE_TOO_LARGE"


def test_entries_that_share_bytes_are_refused() -> None:
    archive = zipped({"a": b"x" * 500, "b": b"y" * 500})
    second = archive.index(b"PK\x01\x02", archive.index(b"PK\x01\x02") + 4)
    overlapping = bytearray(archive)
    overlapping[second + 42 : second + 46] = struct.pack("<I", 10)
    assert "overlaps" in refusal(bytes(overlapping)).message


def test_sizes_are_limited_at_the_limit_and_not_one_below() -> None:
    assert unpacked(zipped({"a": b"x" * 20_000}))
    assert refusal(zipped({"a": b"x" * 20_001})).reason == "FILE_TOO_LARGE"
    full = {str(number): b"x" * 10_000 for number in range(5)}
    assert len(unpacked(zipped(full))) == 5
    with pytest.raises(QuotaExceeded) as found:
        unpacked(zipped({**full, "0": b"x" * 10_001}))
    assert (found.value.reason, found.value.metadata) == ("PROJECT_BYTES", {"limit": "50000"})
    with pytest.raises(QuotaExceeded) as found:
        unpacked(zipped({str(number): b"" for number in range(6)}))
    assert (found.value.reason, found.value.metadata) == ("ARCHIVE_FILES", {"limit": "5"})


def test_an_archive_is_refused_as_soon_as_it_is_too_long() -> None:
    with Unpacking(LIMITS) as unpacking:
        unpacking.accept(b"x" * 100_000)
        with pytest.raises(QuotaExceeded) as found:
            unpacking.accept(b"x")
    assert (found.value.reason, found.value.metadata) == ("ARCHIVE_BYTES", {"limit": "100000"})


def test_a_huge_directory_is_never_read() -> None:
    archive = bytearray(zipped({"a": b"x"}))
    end = archive.index(b"PK\x05\x06")
    padding = b"\0" * 5_000_000
    archive[end:end] = padding
    end += len(padding)
    size = struct.unpack_from("<I", archive, end + 12)[0]
    struct.pack_into("<I", archive, end + 12, size + len(padding))
    limits = ArchiveLimits(10_000_000, 5, 20_000, 50_000)
    assert "directory" in refusal(bytes(archive), limits).message


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no archive", b"PK\x05\x06" + b"\xff" * 18, b"PK\x03\x04" + b"\0" * 500]
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    assert "no zip archive" in refusal(data).message or "directory" in refusal(data).message


def test_an_archive_without_files_is_refused() -> None:
    assert "holds no file" in refusal(zipped({"folder/": b"", ".DS_Store": b"x"})).message
    assert "holds no file" in refusal(zipped({})).message


def test_every_cut_of_an_archive_is_refused_or_whole() -> None:
    archive = zipped({"a": b"a" * 50, "b/c": b"c" * 50})
    for size in range(len(archive)):
        refusal(archive[:size])


def test_every_broken_byte_is_refused_or_leaves_names_and_limits_true() -> None:
    archive = zipped({"a": b"a" * 50, "b/c": b"c" * 50})
    for at in range(len(archive)):
        broken = bytearray(archive)
        broken[at] ^= 0x55
        try:
            found = unpacked(bytes(broken))
        except (Invalid, QuotaExceeded):
            continue
        assert all(data in (b"a" * 50, b"c" * 50) for data in found.values())

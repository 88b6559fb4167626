"""The package as one file that Python imports from: a zip archive. The only module that does not run in sandboxes."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_VERSION_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Options:
    """What a preview server serves, and how."""

    folder: str
    """The project's."""
    drafts: str
    """Where drafts are written: ``<drafts>/<generation>/<path of the file>``."""
    port: int
    draft_seconds: float = 120
    """A draft that was not written to for so long is not shown any more: who wrote it has died."""
    single_page: bool = False
    """Whether pages that aren't there are answered with index.html. A project with a 404.html or a 200.html has its
    own say."""


@dataclass(frozen=True, slots=True)
class PreviewServer:
    """A preview server that can be put into sandboxes."""

    archive: bytes
    place: str
    """Where in a sandbox the archive lies."""
    command: str
    """The shell command that starts it. It takes the place of one of another version; beside one of its own it ends."""
    version: str
    """What it answers when it is asked how it is. Another for another source, place or option."""

    @classmethod
    def of(cls, place: str, options: Options) -> Self:
        """A server to lie at ``place``."""
        archive = bundle()
        unnamed = command(place, options, "")
        version = hashlib.sha256(archive + unnamed.encode()).hexdigest()[:_VERSION_LENGTH]
        return cls(archive, place, command(place, options, version), version)


def bundle() -> bytes:
    """The archive. The same bytes for the same source."""
    archive = io.BytesIO()
    # Not compressed: inside a sandbox that would cost the memory of another library.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for path in sorted(Path(__file__).parent.iterdir()):
            if path.suffix in {".py", ".js", ".html"} and path.name != Path(__file__).name:
                files.writestr(zipfile.ZipInfo(f"preview/{path.name}"), path.read_bytes())
    return archive.getvalue()


def command(archive: str, options: Options, version: str) -> str:
    """The shell command that serves a folder with an archive that lies at ``archive``."""
    # Servers recognise each other by the words before the options: see ``turn``.
    arguments = (
        f"{options.folder!r}, {options.drafts!r}, {options.port}, version={version!r}, "
        f"draft_seconds={options.draft_seconds!r}, single_page={options.single_page!r}"
    )
    code = f"import sys; sys.path.insert(0, {archive!r}); from preview.main import main; main({arguments})"
    # -I -S: nothing of the project's or the user's is imported, and it stays small. An archive that is run as a
    # program would be run by a module that costs another megabyte. One arena: each thread would get its own.
    return f"MALLOC_ARENA_MAX=1 exec python3 -I -S -c {shlex.quote(code)}"
